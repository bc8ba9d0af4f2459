"""Configuration files to start from, with a comment for each setting, generated from the schema."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from enum import Enum
from typing import Any

from tf_tokclf.config.flat_settings import Setting, SettingSection, setting_sections
from tf_tokclf.config.yaml_text import yaml_line

WIDTH = 110
BY_RECIPE = "To set it yourself, remove the first # below and write a value."
CHOSEN = " # chosen by the recipe"

# The most common settings. The others are only in the amount `full`.
USUAL = frozenset(
    {
        "task",
        "recipe",
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
        "optimizer.layer_decay",
        "training.num_train_epochs",
        "training.per_device_train_batch_size",
        "training.gradient_accumulation_steps",
        "training.span_weight",
        "training.precision",
        "training.patience",
        "training.seed",
        "evaluation.mode",
        "evaluation.decoding",
        "hub.push",
        "hub.model_id",
    }
)


class Amount(str, Enum):
    """Which settings to write: only the given ones, the usual ones too, or all."""

    MINIMAL = "minimal"
    USUAL = "usual"
    FULL = "full"


def starter_yaml(values: Mapping[str, Any], amount: Amount = Amount.USUAL, *, heading: str = "") -> str:
    """A configuration with `values` ("section.key" -> value) and, depending on `amount`, other settings at their
    defaults. A comment explains each setting. Settings that the recipe chooses are commented out.

    >>> print(starter_yaml({"training.seed": 7}, Amount.MINIMAL), end="")
    # Epochs, batches, precision, checkpoints and devices.
    training:
      # Random seed for the new head, dropout and the order of batches. (whole number at least 0 and at most
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
    open_ = {setting.name for setting in chosen if _is_open(setting, values)}
    lines = []
    if name:
        lines += _comment(section.about, "  " * (depth - 1))
        lines.append(f"{'  ' * (depth - 1)}{name}:")
    for setting in chosen:
        # The type "text" adds nothing to the description.
        kind = "" if setting.kind.startswith("text") else f" ({setting.kind})"
        about = f"{setting.description} {BY_RECIPE}" if setting.name in open_ else setting.description
        lines += _comment(about + kind, "  " * depth)
        is_open = setting.name in open_
        value = CHOSEN if is_open else yaml_line(values.get(setting.name, setting.default))
        lines.append(f"{'  ' * depth}{'# ' if is_open else ''}{setting.key}: {value}")
    return "\n".join(lines) + "\n"


def _is_open(setting: Setting, values: Mapping[str, Any]) -> bool:
    """Whether the recipe chooses a setting."""
    return setting.by_recipe and setting.name not in values and values.get("recipe", "auto") == "auto"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}#   ",
        break_on_hyphens=False,
    )
