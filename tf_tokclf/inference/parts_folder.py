"""A job that is divided into parts: the parts, their folder, and resuming.

A part is a file of a folder, or a shard of a file. Its output is complete or can be resumed (`predict_to_file`).
_job.json identifies the job of the folder, and _SUCCESS means that all parts are complete. Programs that read folders
of Parquet, CSV or JSON files ignore names that begin with an underscore.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tf_tokclf.compressed import name_without_compression
from tf_tokclf.config.references import resolve_reference
from tf_tokclf.counted import counted
from tf_tokclf.data.detection import is_about_data, is_folder_of_files, not_read_in
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole, write_json
from tf_tokclf.inference.partial_output import files_of, fingerprint, is_whole, model_fingerprint
from tf_tokclf.inference.prediction_job import Shard
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.records.output import SAME

log = logging.getLogger(__name__)

# With several parts per worker, few workers are idle at the end if parts differ in duration.
PARTS_A_WORKER = 4
_JOB, _SUCCESS = "_job.json", "_SUCCESS"
_ENDINGS = {"jsonl": ".jsonl", "conll": ".conll", "label-studio": ".json"}


@dataclass(frozen=True)
class Part:
    """A unit of work: a file, or a shard of it, that is labelled into a separate file."""

    source: str
    output: Path
    output_format: str
    shard: Shard | None = None


@dataclass(frozen=True)
class _Job:
    """The content of _job.json. borders: the record numbers between the shards of a file; None for a folder."""

    identity: dict[str, Any]
    borders: tuple[int, ...] | None
    outputs: tuple[str, ...]


class PartsFolder:
    """The output folder for the parts of a job."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def check(self, *, resume: bool, force: bool) -> None:
        """Raise UserError if the folder cannot be used, or if existing files would be lost or mixed with new ones."""
        if self.path.exists() and not self.path.is_dir():
            hint = "Choose another --output."
            raise UserError("is a file, but --workers writes a folder of parts.", path=self.path, hint=hint)
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not (self.path / _JOB).is_file():
            hint = "Choose an empty folder, or one that does not exist."
            raise UserError("the folder contains files that are not from such a job.", path=self.path, hint=hint)
        if not (resume or force):
            hint = "Continue with --resume, start again with --force, or choose another --output."
            raise UserError("the folder already contains parts.", path=self.path, hint=hint)

    def begin(
        self, spec: PredictionSpec, tagger: Tagger, source: str, n_parts: int | None, *, default: int, resume: bool
    ) -> list[Part]:
        """Start or resume a job, and return all its parts.

        n_parts: number of parts of a file; None for the number of the interrupted job, or else `default`.
        """
        files = _files_in(source, spec.reading.get("format", "auto"), self.path)
        if files and n_parts:
            hint = "Leave out --parts: each file of the folder is a part."
            raise UserError("--parts divides a file, but this is a folder.", path=source, hint=hint)
        identity: dict[str, Any] = {
            "model": model_fingerprint(spec.model_folder),
            "input": {file.name: fingerprint(file) for file in files or [resolve_reference(source)] if file.is_file()},
            **spec.settings(tagger),
            "output format": spec.output_format,
        }
        before = self._job_before()
        borders = before.borders if before and resume else None
        if before and resume:
            self._check_same(before, identity, n_parts)
        elif not files:
            shards = spec.shards(tagger, source, n_parts or default)
            borders = (shards[0].records.start, *(shard.records.stop for shard in shards))
        if files:
            parts = self._file_parts(spec, tagger, files)
        else:
            parts = self._shard_parts(spec, tagger, resolve_reference(source).absolute(), borders or ())
        if before and not resume:
            self._remove(before.outputs)
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / _JOB, asdict(_Job(identity, borders, tuple(part.output.name for part in parts))))
        (self.path / _SUCCESS).unlink(missing_ok=True)
        return parts

    def finish(self) -> None:
        """Mark all parts as complete."""
        with open_whole(self.path / _SUCCESS):
            pass

    def _job_before(self) -> _Job | None:
        """The job that was started in this folder; None if there was none."""
        path = self.path / _JOB
        if not path.is_file():
            return None
        try:
            noted = json.loads(path.read_text(encoding="utf-8"))
            borders = None if noted["borders"] is None else tuple(map(int, noted["borders"]))
            return _Job(dict(noted["identity"]), borders, tuple(map(str, noted["outputs"])))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError("cannot be read.", path=path, hint="Choose another --output.") from error

    def _check_same(self, before: _Job, identity: dict[str, Any], n_parts: int | None) -> None:
        """Raise UserError unless the job is the same as the one that was started in this folder."""
        then, now = dict(before.identity), dict(identity)
        if before.borders and n_parts:
            then["number of parts"], now["number of parts"] = len(before.borders) - 1, n_parts
        changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        if changed:
            what = changed[0]
            values = "" if what in ("model", "input") else f": {then.get(what)}, not {now.get(what)}"
            hint = "Use the same settings and input, or start again with --force."
            raise UserError(f"the job in this folder had another {what}{values}.", path=self.path, hint=hint)

    def _remove(self, outputs: Iterable[str]) -> None:
        """Remove the files of an earlier job."""
        for name in (_SUCCESS, *outputs):
            # Use only the last part of each name, so that nothing outside the folder is removed.
            for path in files_of(self.path / Path(name).name):
                path.unlink(missing_ok=True)

    def _file_parts(self, spec: PredictionSpec, tagger: Tagger, files: Sequence[Path]) -> list[Part]:
        parts: dict[str, Part] = {}
        for file in files:
            output_format, ending = _format_and_ending(spec, tagger, file)
            name = file.name if output_format == SAME else name_without_compression(file).stem + ending
            if name in parts:
                first = Path(parts[name].source).name
                hint = "Label them in separate jobs."
                raise UserError(f"{first} and {file.name} would both become {name}.", path=file.parent, hint=hint)
            parts[name] = Part(str(file), self.path / name, output_format)
        return list(parts.values())

    def _shard_parts(self, spec: PredictionSpec, tagger: Tagger, source: Path, borders: Sequence[int]) -> list[Part]:
        output_format, ending = _format_and_ending(spec, tagger, source)
        n = len(borders) - 1
        return [
            Part(
                str(source),
                self.path / f"part-{i + 1:05}-of-{n:05}{ending}",
                output_format,
                Shard(i + 1, n, range(borders[i], borders[i + 1])),
            )
            for i in range(n)
        ]


def left_to_do(parts: Sequence[Part]) -> list[Part]:
    """The parts whose outputs are not complete."""
    return [part for part in parts if not is_whole(part.output)]


def _files_in(source: str, format: str, output: Path) -> list[Path]:
    """The files of a folder, sorted by name; none if `source` is a file, or a folder that is one data set."""
    folder = resolve_reference(source).absolute()
    if not is_folder_of_files(folder, format):
        return []
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "_"))]
    files = [path for path in entries if path.is_file() and not is_about_data(path)]
    if not files:
        raise UserError("there is no file in this folder.", path=folder, hint="Check the path.")
    log.info("%s: %s%s", source, counted(len(files), "file"), not_read_in(folder, [*files, output]))
    return files


def _format_and_ending(spec: PredictionSpec, tagger: Tagger, source: Path) -> tuple[str, str]:
    """The output format for `source`, and the suffix of its output file."""
    with closing(spec.open(tagger, str(source))) as stream:
        output_format = spec.format_for(stream, None)
    bare = name_without_compression(source)
    compression = source.suffix if bare != source and output_format != "parquet" else ""
    own = bare.suffix if output_format == SAME else _ENDINGS.get(output_format, ".jsonl")
    return output_format, own + compression
