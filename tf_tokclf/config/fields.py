"""Fields of the schema. Each describes a setting for configuration files, `--help` and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from pydantic.fields import FieldInfo

from tf_tokclf.config.shipped_schema import OPTION, with_meanings

# Commands that do not need the labels of a file read only its words.
Reads = Literal["words", "labels"]


def setting(
    default: Any,
    text: str,
    *,
    meanings: Mapping[Any, str] | None = None,
    option: str | tuple[str, ...] = (),
    switches: Mapping[str, Any] | None = None,
    by_number: bool = False,
    prefixes: tuple[str, ...] = (),
    reads: Reads | None = None,
    by_recipe: bool = False,
    **constraints: Any,
) -> Any:
    """A field for a setting.

    text: one or more sentences about what the setting does, with its unit. meanings: explanations of some of its
    values. option: the names of its option; a setting without an option can only be changed with --set. switches: names
    of options without a value -> the value that they set. by_number: a column or layer can also be given by number.
    prefixes: beginnings of a value that have no meaning. reads: the part of a file that the setting helps to read; all
    commands that read it get the option. by_recipe: the recipe auto chooses it if it is not set.
    """
    listed = {value_text(value): meaning for value, meaning in (meanings or {}).items()}
    # Meanings and switches are lists of pairs, because pydantic sorts the keys of mappings.
    described: dict[str, Any] = {
        "names": [option] if isinstance(option, str) else list(option),
        "text": text if listed else None,
        "meanings": list(listed.items()),
        "switches": list((switches or {}).items()),
        "by_number": by_number,
        "prefixes": list(prefixes),
        "reads": reads,
        "by_recipe": by_recipe,
    }
    return Field(
        default,
        description=with_meanings(text, listed),
        json_schema_extra={OPTION: {key: value for key, value in described.items() if value}},
        **constraints,
    )


def is_by_recipe(field: FieldInfo) -> bool:
    """Whether the recipe auto chooses the value of a field of the schema."""
    extra = field.json_schema_extra
    about = extra.get(OPTION) if isinstance(extra, dict) else None
    return isinstance(about, dict) and bool(about.get("by_recipe"))


def value_text(value: Any) -> str:
    """The YAML text of a value whose meaning is described.

    >>> [value_text(value) for value in (None, False, "", (), "auto")]
    ['null', 'false', "''", '[]', 'auto']
    """
    special = {None: "null", False: "false", True: "true", "": "''", (): "[]"}
    return special.get(value, str(value))
