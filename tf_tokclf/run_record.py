"""`finished.json`: the settings and inputs of a finished run, and the checksums of its files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from tf_tokclf.files import read_sealed_json, sha256_of, write_sealed_json
from tf_tokclf.run_dir import RunDir

log = logging.getLogger(__name__)

FORMAT = 1
# The model card is written again whenever the run is published, and may be edited.
_UNCHECKED = ("README.md",)


@dataclass(frozen=True)
class RunRecord:
    """A run whose training is finished.

    settings, contents: its identity, as in its checkpoints. position: its last position, with its history. files:
    SHA-256 of each file, by its name in the run's folder. texts: the text of files that cannot be computed from data
    and settings.
    """

    settings: Mapping[str, Any]
    contents: Mapping[str, str]
    position: Mapping[str, Any]
    files: Mapping[str, str]
    texts: Mapping[str, str]

    def is_scored(self, run: RunDir) -> bool:
        """Whether the run has results, and not only a model."""
        return run.results.name in self.files


def write_record(run: RunDir, record: RunRecord) -> None:
    """Write the record. From this moment on, training is finished."""
    write_sealed_json(run.finished, {"format": FORMAT, **asdict(record)})


def read_record(run: RunDir) -> RunRecord | None:
    """The run's record. None if training is not finished, or, with a warning, if the record is damaged."""
    try:
        return load_record(run)
    except ValueError as error:
        log.warning("%s cannot be used (%s).", run.finished, error)
        return None


def load_record(run: RunDir) -> RunRecord | None:
    """The run's record. None if training is not finished. Raises ValueError if the record is damaged."""
    try:
        fields = read_sealed_json(run.finished)
        if fields.pop("format") != FORMAT:
            raise ValueError("it was written by another version")
        record = RunRecord(**fields)
        if outside := [name for name in (*record.files, *record.texts) if not _is_inside(name)]:
            raise ValueError(f"it lists {outside[0]}, which is not in the run's folder")
        return record
    except FileNotFoundError:
        return None
    except ValueError:
        raise
    except (OSError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def checksums(run: RunDir, *, scored: bool) -> dict[str, str]:
    """SHA-256 of each file of a run that is checked, by its name in the run's folder.

    scored: include history, predictions, results and report, not only the model.
    """
    paths = _model_files(run) + (_outputs(run) if scored else [])
    return {path.relative_to(run.root).as_posix(): sha256_of(path) for path in paths}


def damage(run: RunDir, record: RunRecord) -> dict[str, str]:
    """What is wrong with the run's files, by name: "is missing", "was changed", or "cannot be read (...)"."""
    found = {name: _damage(run.root / name, expected) for name, expected in record.files.items()}
    return {name: what for name, what in found.items() if what}


def note_change(path: Path) -> None:
    """Update the record of a run, if it has one, after a file of its model folder was changed or removed on purpose."""
    run = RunDir(path.parent.parent)
    name = path.relative_to(run.root).as_posix()
    if path.parent != run.model or not run.finished.is_file() or (record := read_record(run)) is None:
        return
    if not path.exists():
        files = {other: digest for other, digest in record.files.items() if other != name}
        write_record(run, replace(record, files=files))
        return
    texts = {name: path.read_text(encoding="utf-8")} if name in record.texts else {}
    files = {**record.files, name: sha256_of(path)}
    write_record(run, replace(record, files=files, texts={**record.texts, **texts}))


def _model_files(run: RunDir) -> list[Path]:
    return sorted(path for path in run.model.glob("*") if path.is_file() and path.name not in _UNCHECKED)


def _outputs(run: RunDir) -> list[Path]:
    own = (run.validation_cut, run.history, run.history_table, run.results, run.report)
    paths = (*run.predictions.glob("*"), *own)
    return sorted(path for path in paths if path.is_file())


def _is_inside(name: str) -> bool:
    """Whether a relative path stays inside its folder.

    >>> _is_inside("model/config.json"), _is_inside("../config.yaml"), _is_inside("/etc/passwd")
    (True, False, False)
    """
    path = PurePath(name)
    return not path.is_absolute() and ".." not in path.parts


def _damage(path: Path, expected: str) -> str | None:
    try:
        return None if sha256_of(path) == expected else "was changed"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
