"""finished.json: what a finished run is a run of, and the checksums of its files, which tell when one is damaged."""

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
# The card: it is written anew whenever the run is published, and may be edited.
_UNCHECKED = ("README.md",)


@dataclass(frozen=True)
class RunRecord:
    """A run whose training is over.

    settings, contents: what it is a run of, as in its checkpoints. position: where it ended, with its history.
    files: SHA-256 of each file, by its name in the run's folder. texts: the text of files that cannot be made from data
    and settings alone.
    """

    settings: Mapping[str, Any]
    contents: Mapping[str, str]
    position: Mapping[str, Any]
    files: Mapping[str, str]
    texts: Mapping[str, str]

    def is_scored(self, run: RunDir) -> bool:
        """Whether it is of a run with results, and not only of its model."""
        return run.results.name in self.files


def write_record(run: RunDir, record: RunRecord) -> None:
    """Write the record: from then on the run needs no training any more."""
    write_sealed_json(run.finished, {"format": FORMAT, **asdict(record)})


def read_record(run: RunDir) -> RunRecord | None:
    """The run's record. None where it is still to be trained, or where the record is damaged, which is told."""
    try:
        fields = read_sealed_json(run.finished)
        if fields.pop("format") != FORMAT:
            raise ValueError("it was written by another version")
        record = RunRecord(**fields)
        if outside := [name for name in (*record.files, *record.texts) if not _is_inside(name)]:
            raise ValueError(f"it names {outside[0]}, which is not in the run's folder")
        return record
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        log.warning("%s cannot be used (%s).", run.finished, error)
        return None


def checksums(run: RunDir, *, scored: bool) -> dict[str, str]:
    """SHA-256 of each file of a run that can be checked, by its name in the run's folder.

    scored: its history, predictions, results and report too, not only its model.
    """
    paths = _model_files(run) + (_outputs(run) if scored else [])
    return {path.relative_to(run.root).as_posix(): sha256_of(path) for path in paths}


def damage(run: RunDir, record: RunRecord) -> dict[str, str]:
    """What is wrong with the run's files, by name: "is missing", "is not as it was written", or "cannot be read"."""
    found = {name: _damage(run.root / name, expected) for name, expected in record.files.items()}
    return {name: what for name, what in found.items() if what}


def note_change(path: Path) -> None:
    """Enter a file of a model folder that was changed on purpose into the record of its run, where it is of one."""
    run = RunDir(path.parent.parent)
    name = path.relative_to(run.root).as_posix()
    if path.parent != run.model or not run.finished.is_file() or (record := read_record(run)) is None:
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
    """Whether a name stays in the folder that it is looked for in.

    >>> _is_inside("model/config.json"), _is_inside("../config.yaml"), _is_inside("/etc/passwd")
    (True, False, False)
    """
    path = PurePath(name)
    return not path.is_absolute() and ".." not in path.parts


def _damage(path: Path, expected: str) -> str | None:
    try:
        return None if sha256_of(path) == expected else "is not as it was written"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
