"""Fields of the schema. Each describes its setting once, for configuration files, `--help` and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from tf_tokclf.config.shipped_schema import OPTION, with_meanings

# What can be read from a file. Commands that do not need its labels read the words only.
Reads = Literal["words", "labels"]


def setting(
    default: Any,
    text: str,
    *,
    meanings: Mapping[Any, str] | None = None,
    option: str | tuple[str, ...] = (),
    switches: Mapping[str, Any] | None = None,
    by_number: bool = False,
    reads: Reads | None = None,
    **constraints: Any,
) -> Any:
    """A field for a setting.

    text: one or more sentences: what the setting does, with its unit. meanings: what some of its values mean. option:
    the option's names; a setting without names can be changed with --set only. switches: options without a value, each
    with the value that it sets. by_number: a number names a column or layer too. reads: what of a file the
    setting says how to read; all commands that read it have the option.
    """
    listed = {value_text(value): meaning for value, meaning in (meanings or {}).items()}
    # Meanings and switches are lists of pairs, because pydantic sorts the keys of mappings.
    described: dict[str, Any] = {
        "names": [option] if isinstance(option, str) else list(option),
        "text": text if listed else None,
        "meanings": list(listed.items()),
        "switches": list((switches or {}).items()),
        "by_number": by_number,
        "reads": reads,
    }
    return Field(
        default,
        description=with_meanings(text, listed),
        json_schema_extra={OPTION: {key: value for key, value in described.items() if value}},
        **constraints,
    )


def value_text(value: Any) -> str:
    """A value as YAML has it, of those whose meaning is described.

    >>> [value_text(value) for value in (None, False, "", (), "auto")]
    ['null', 'false', "''", '[]', 'auto']
    """
    special = {None: "null", False: "false", True: "true", "": "''", (): "[]"}
    return special.get(value, str(value))
