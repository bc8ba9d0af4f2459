"""A job in parts: what is cut into which, the folder that the parts go to, and what it takes to go on.

A part is a file of a folder, or a shard of a file; its output is whole or goes on by itself (`predict_to_file`). Which
job the folder is of stands in _job.json, and _SUCCESS says that all parts are whole. Readers of folders of Parquet, CSV
or JSON pass names with an underscore over.
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
from tf_tokclf.data.detection import is_folder_of_files
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole, write_json
from tf_tokclf.inference.partial_output import files_of, fingerprint, is_whole, model_fingerprint
from tf_tokclf.inference.prediction_job import Shard
from tf_tokclf.inference.prediction_spec import PredictionSpec
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.records.output import SAME

log = logging.getLogger(__name__)

# Parts that take longer than others then leave few workers idle at the end.
PARTS_A_WORKER = 4
_JOB, _SUCCESS = "_job.json", "_SUCCESS"
_ENDINGS = {"jsonl": ".jsonl", "conll": ".conll", "label-studio": ".json"}


@dataclass(frozen=True)
class Part:
    """What one worker labels at a time: a file, or a shard of it, into a file of its own."""

    source: str
    output: Path
    output_format: str
    shard: Shard | None = None


@dataclass(frozen=True)
class _Job:
    """What _job.json holds. borders: the records that shards of one file lie between; None for a folder of files."""

    identity: dict[str, Any]
    borders: tuple[int, ...] | None
    outputs: tuple[str, ...]


class PartsFolder:
    """The folder that a job's parts are written to."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def check(self, *, resume: bool, force: bool) -> None:
        """Raise UserError where nothing can be written here, or something would be lost or mixed up unasked."""
        if self.path.exists() and not self.path.is_dir():
            hint = "Choose another --output."
            raise UserError("is a file; --workers writes a folder of parts.", path=self.path, hint=hint)
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not (self.path / _JOB).is_file():
            hint = "Choose an empty one, or one that does not exist."
            raise UserError("the folder contains something that no such job wrote.", path=self.path, hint=hint)
        if not (resume or force):
            hint = "Go on with --resume, begin anew with --force, or choose another --output."
            raise UserError("the folder already contains parts.", path=self.path, hint=hint)

    def begin(
        self, spec: PredictionSpec, tagger: Tagger, source: str, n_parts: int | None, *, default: int, resume: bool
    ) -> list[Part]:
        """All parts of `source`: those of the job that was broken off, or of one that begins anew.

        n_parts: into how many a file is cut; None: as before, or else `default`.
        """
        files = _files_in(source, spec.reading.get("format", "auto"), self.path)
        if files and n_parts:
            raise UserError("--parts cuts a file, and this is a folder.", path=source, hint="Its files are the parts.")
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
        """Say that all parts are whole."""
        with open_whole(self.path / _SUCCESS):
            pass

    def _job_before(self) -> _Job | None:
        """The job that was begun here; None where none was."""
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
        """Raise UserError unless the job that is asked for is the one that was begun here."""
        then, now = dict(before.identity), dict(identity)
        if before.borders and n_parts:
            then["number of parts"], now["number of parts"] = len(before.borders) - 1, n_parts
        changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        if changed:
            what = changed[0]
            values = "" if what in ("model", "input") else f": {then.get(what)}, not {now.get(what)}"
            hint = "Go on with what it had, or begin anew with --force."
            raise UserError(f"the job that was begun here had another {what}{values}.", path=self.path, hint=hint)

    def _remove(self, outputs: Iterable[str]) -> None:
        """Take away what an earlier job left."""
        for name in (_SUCCESS, *outputs):
            # No name that was written here leads out of the folder.
            for path in files_of(self.path / Path(name).name):
                path.unlink(missing_ok=True)

    def _file_parts(self, spec: PredictionSpec, tagger: Tagger, files: Sequence[Path]) -> list[Part]:
        parts: dict[str, Part] = {}
        for file in files:
            output_format, ending = _format_and_ending(spec, tagger, file)
            name = file.name if output_format == SAME else name_without_compression(file).stem + ending
            if name in parts:
                first = Path(parts[name].source).name
                hint = "Label them one after the other."
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
    """The parts whose outputs are not whole."""
    return [part for part in parts if not is_whole(part.output)]


def _files_in(source: str, format: str, output: Path) -> list[Path]:
    """The files of a folder of files, by name; none where `source` is a file, or a folder that holds one data set."""
    folder = resolve_reference(source).absolute()
    if not is_folder_of_files(folder, format):
        return []
    entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "_"))]
    for inner in (path for path in entries if path.is_dir() and path != output):
        log.warning("%s: only the files beside this folder are labelled, not those in it", inner)
    files = [path for path in entries if path.is_file()]
    if not files:
        raise UserError("there is no file in this folder.", path=folder, hint="Check the path.")
    return files


def _format_and_ending(spec: PredictionSpec, tagger: Tagger, source: Path) -> tuple[str, str]:
    """The format of the predictions of `source`, and how a file of them is called at its end."""
    with closing(spec.open(tagger, str(source))) as stream:
        output_format = spec.format_for(stream, None)
    bare = name_without_compression(source)
    compression = source.suffix if bare != source and output_format != "parquet" else ""
    own = bare.suffix if output_format == SAME else _ENDINGS.get(output_format, ".jsonl")
    return output_format, own + compression
