"""Configuration files to start from: every setting with what it means, written from the schema itself."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from tf_tokclf.config.loading import yaml_line
from tf_tokclf.config.references import is_meant_as_path, resolve_reference
from tf_tokclf.config.settings import Setting, SettingSection, setting_sections
from tf_tokclf.errors import UserError

WIDTH = 110

# Settings that most people look at first; the others are written by `full` only.
USUAL = frozenset(
    {
        "task",
        "output_dir",
        "data.train_file",
        "data.validation_file",
        "data.test_file",
        "data.text_column_name",
        "data.label_column_name",
        "data.scheme",
        "data.repair",
        "model.name_or_path",
        "alignment.strategy",
        "alignment.max_length",
        "optimizer.learning_rate",
        "optimizer.weight_decay",
        "optimizer.warmup_ratio",
        "training.num_train_epochs",
        "training.per_device_train_batch_size",
        "training.gradient_accumulation_steps",
        "training.precision",
        "training.patience",
        "training.seed",
        "evaluation.decoding",
        "hub.push",
        "hub.model_id",
    }
)

_PARTS = {
    "train": re.compile(r"train(ing)?(?![a-z])", re.IGNORECASE),
    "validation": re.compile(r"(valid(ation)?|dev(el(opment)?)?)(?![a-z])", re.IGNORECASE),
    "test": re.compile(r"test(a|b|ing)?(?![a-z])", re.IGNORECASE),
}


class Amount(str, Enum):
    """How much a starter says: what was asked for, the usual settings, or all."""

    MINIMAL = "minimal"
    USUAL = "usual"
    FULL = "full"


def starter_yaml(values: Mapping[str, Any], amount: Amount = Amount.USUAL, *, heading: str = "") -> str:
    """A configuration with `values` ("section.key" -> value) and, by `amount`, other settings at their defaults, each
    under a comment that says what it means.

    >>> print(starter_yaml({"training.seed": 7}, Amount.MINIMAL), end="")
    # Epochs, batches, precision, checkpoints and devices.
    training:
      # random seed for the new head, dropout and the order of batches (whole number at least 0 and at most
      #   4294967295)
      seed: 7
    """
    parts = [heading] if heading else []
    opened: set[str] = set()
    for section in setting_sections():
        chosen = [s for s in section.settings if s.name in values or _is_written(s, amount)]
        outer = section.name.rpartition(".")[0]
        if chosen:
            opening = f"{outer}:\n" if outer and outer not in opened else ""
            parts.append(opening + _section_text(section, chosen, values))
            opened.add(section.name)
    return "\n".join(parts)


def _is_written(setting: Setting, amount: Amount) -> bool:
    return amount is Amount.FULL or (amount is Amount.USUAL and setting.name in USUAL)


def _section_text(section: SettingSection, chosen: list[Setting], values: Mapping[str, Any]) -> str:
    name = section.name.rpartition(".")[2]
    depth = len(section.name.split(".")) if section.name else 0
    lines = []
    if name:
        lines += _comment(section.about, "  " * (depth - 1))
        lines.append(f"{'  ' * (depth - 1)}{name}:")
    for setting in chosen:
        # "text" says nothing that the description does not.
        kind = "" if setting.kind.startswith("text") else f" ({setting.kind})"
        lines += _comment(setting.description + kind, "  " * depth)
        lines.append(f"{'  ' * depth}{setting.key}: {yaml_line(values.get(setting.name, setting.default))}")
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}#   ",
        break_on_hyphens=False,
    )


def data_settings(data: str) -> dict[str, Any]:
    """The settings that read `data`: a file (and dev and test files named alike beside it), a folder with a file or a
    folder for each split, a folder that save_to_disk wrote, or a data set on the Hub.
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
        raise UserError("there is no such file or folder.", path=data, hint="Name labelled data to train on.")
    return {"data.dataset_name": data}


def _named_files(train: str, parts: Mapping[str, str]) -> dict[str, Any]:
    files = {"train": train, **parts}
    return {f"data.{part}_file": files[part] for part in _PARTS if part in files}


def _inside(data: str, found: Path, folder: Path) -> str:
    return f"{data.rstrip('/')}/{found.relative_to(folder).as_posix()}"


def _parts_in(folder: Path) -> dict[str, Path]:
    """The entry of a folder for each split that exactly one is named after."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    found = {}
    for part, pattern in _PARTS.items():
        named = [entry for entry in entries if pattern.search(entry.stem if entry.is_file() else entry.name)]
        if len(named) == 1:
            found[part] = named[0]
    return found


def _parts_beside(train: Path) -> dict[str, str]:
    """Dev and test files that differ from the train file in the split's name only."""
    matches = list(_PARTS["train"].finditer(train.name))
    if not matches:
        return {}
    match = matches[-1]
    before, after = train.name[: match.start()], train.name[match.end() :]
    names = {"validation": ("validation", "valid", "dev", "devel"), "test": ("test",)}
    found = {}
    for part, words in names.items():
        for word in words:
            path = train.with_name(f"{before}{word}{after}")
            if path.exists():
                found[part] = str(path)
                break
    return found
