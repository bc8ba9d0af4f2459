"""Names of splits: in configurations, data sets, files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tf_tokclf.config.references import is_meant_as_path, resolve_reference
from tf_tokclf.errors import UserError
from tf_tokclf.similar_names import did_you_mean

SPLITS = ("train", "validation", "test")
# Names of each split in data sets, folders and files, in the order in which they are tried.
NAMES_OF_SPLIT = {
    "train": ("train",),
    "validation": ("validation", "dev", "valid", "val", "devel"),
    "test": ("test",),
}


def _either(names: Iterable[str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


_SPLIT_NAME = re.compile(rf"(?<![a-z])({_either(chain(*NAMES_OF_SPLIT.values()))})(?![a-z])")
# File names may use longer forms, and letters may precede the split's name (mytrain.conll). No letters may precede
# "val", because of names such as interval.conll.
_IN_FILE_NAME = {
    split: re.compile(rf"(?:{'|'.join(forms)})(?![a-z])", re.IGNORECASE)
    for split, forms in {
        "train": ("train", "training"),
        "validation": ("valid", "validation", r"(?<![a-z])val", "dev", "devel", "development"),
        "test": ("test", "testa", "testb", "testing"),
    }.items()
}


def split_in_name(stem: str) -> str | None:
    """The split in the name of a file or folder, as spelt there.

    >>> split_in_name("wnut17train"), split_in_name("emerging.dev"), split_in_name("latest")
    ('train', 'dev', None)
    """
    found = _SPLIT_NAME.search(stem.lower())
    return found.group(1) if found else None


def data_settings(data: str) -> dict[str, Any]:
    """The settings for reading `data`: a file (with validation and test files of similar names beside it), a folder
    with one file or folder per split, a folder written by save_to_disk, or a data set on the Hub.
    """
    path = Path(resolve_reference(data))
    if path.is_file():
        return _named_files(data, _parts_beside(path))
    if path.is_dir():
        if (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file():
            return {"data.dataset_name": data}
        parts = _parts_in(path)
        if "train" in parts:
            return _named_files(data, {part: _inside(data, found, path) for part, found in parts.items()})
        return {"data.train_file": data}
    if is_meant_as_path(data):
        hint = did_you_mean(data, "Name labelled training data.", is_data=True)
        raise UserError("there is no such file or folder.", path=data, hint=hint)
    return {"data.dataset_name": data}


def _named_files(train: str, parts: Mapping[str, str]) -> dict[str, Any]:
    files = {"train": train, **parts}
    return {f"data.{part}_file": files[part] for part in SPLITS if part in files}


def _inside(data: str, found: Path, folder: Path) -> str:
    return f"{data.rstrip('/')}/{found.relative_to(folder).as_posix()}"


def _parts_in(folder: Path) -> dict[str, Path]:
    """For each split, the entry of a folder with its name, if there is exactly one."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    found = {}
    for part, pattern in _IN_FILE_NAME.items():
        named = [entry for entry in entries if pattern.search(entry.stem if entry.is_file() else entry.name)]
        if len(named) == 1:
            found[part] = named[0]
    return found


def _parts_beside(train: Path) -> dict[str, str]:
    """Validation and test files whose names differ from the training file's name only in the split."""
    matches = list(_IN_FILE_NAME["train"].finditer(train.name))
    if not matches:
        return {}
    match = matches[-1]
    before, after = train.name[: match.start()], train.name[match.end() :]
    found = {}
    for part in ("validation", "test"):
        there = (train.with_name(f"{before}{name}{after}") for name in NAMES_OF_SPLIT[part])
        if path := next((path for path in there if path.exists()), None):
            found[part] = str(path)
    return found
