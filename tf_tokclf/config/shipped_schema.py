"""The settings as described in the JSON Schema that comes with the package.

The schema is generated from `config/schema.py`. Reading it takes milliseconds, so that `--help` needs neither pydantic
nor the classes of the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tf_tokclf.config.shipped import SHIPPED_SCHEMA

# Keywords of the schema that are not part of JSON Schema: the heading of a section's options, and a setting's option.
HEADING, OPTION = "x-heading", "x-option"

# YAML values that cannot be the value of an option.
_NOT_TYPED = ("null", "true", "false", "[]")


@dataclass(frozen=True)
class DescribedSetting:
    """A setting as the schema describes it.

    schema: the JSON Schema of its values. heading: the heading of its options in help. names: of its option, empty if
    it has none. The other fields are those of `tf_tokclf.config.fields.setting`.
    """

    name: str
    schema: Mapping[str, Any]
    heading: str
    text: str
    names: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, Any] = field(default_factory=dict)
    by_number: bool = False
    prefixes: tuple[str, ...] = ()
    reads: str | None = None
    by_recipe: bool = False

    @classmethod
    def of(cls, name: str, schema: Mapping[str, Any], heading: str) -> DescribedSetting:
        """From its part of the schema."""
        about = dict(schema.get(OPTION, {}))
        return cls(
            name,
            schema,
            heading,
            about.pop("text", schema["description"]),
            names=tuple(about.pop("names", ())),
            meanings=dict(about.pop("meanings", ())),
            switches=dict(about.pop("switches", ())),
            prefixes=tuple(about.pop("prefixes", ())),
            **about,
        )

    @property
    def default(self) -> Any:
        """The default value."""
        return self.schema["default"]

    @property
    def kinds(self) -> Mapping[str, Mapping[str, Any]]:
        """The types of its values, without null: name -> schema."""
        kinds = {kind["type"]: kind for kind in self.schema.get("anyOf", [self.schema])}
        return {name: kind for name, kind in kinds.items() if name != "null"}

    @property
    def is_nullable(self) -> bool:
        """Whether a value can be null."""
        return any(kind["type"] == "null" for kind in self.schema.get("anyOf", ()))

    @property
    def choices(self) -> list[str]:
        """The possible values, empty if they are not limited to a list."""
        kind, *others = self.kinds.values()
        return [] if others else kind.get("enum", [kind["const"]] if "const" in kind else [])

    @property
    def default_text(self) -> str:
        """The default in help: a choice by its name, any other value by its meaning if it has one. A setting that the
        default recipe chooses has no default of its own.
        """
        if self.by_recipe:
            return "chosen by --recipe"
        if self.default is None:
            return self.meanings.get("null", "")
        if isinstance(self.default, list):
            return ",".join(self.default)
        if isinstance(self.default, float):
            return f"{self.default:g}"
        text = str(self.default)
        return text if self.choices else self.meanings.get(text, text)

    @property
    def about(self) -> str:
        """The text, and the meanings of values that can be given on the command line, except the default's."""
        explained_as_default = () if self.choices else (str(self.default),)
        hidden = (*_NOT_TYPED, *explained_as_default)
        return with_meanings(self.text, {value: text for value, text in self.meanings.items() if value not in hidden})

    def about_value(self, value: bool) -> str:
        """The help of an option that sets only this value."""
        meaning = self.meanings.get(str(value).lower())
        return f"{meaning[0].upper()}{meaning[1:]}." if meaning else self.text


def with_meanings(text: str, meanings: Mapping[str, str]) -> str:
    """The text, followed by the meanings of values.

    >>> with_meanings("Column separator.", {"null": "detected"})
    'Column separator. null: detected.'
    """
    listed = "; ".join(f"{value}: {meaning}" for value, meaning in meanings.items())
    return f"{text} {listed}." if listed else text


def without_prefixes(value: str, prefixes: Iterable[str]) -> str:
    """The value without any of `prefixes` before it.

    >>> without_prefixes("eval_overall_f1", ("eval_", "overall_"))
    'f1'
    """
    for prefix in prefixes:
        value = value.removeprefix(prefix)
    return value


@cache
def described_settings() -> Mapping[str, DescribedSetting]:
    """All settings by their dotted names, in the order of the schema.

    >>> described_settings()["training.seed"].default_text
    '42'
    """
    schema = json.loads(SHIPPED_SCHEMA.read_text(encoding="utf-8"))
    return {setting.name: setting for setting in _settings_in(schema, "", schema["$defs"])}


def _settings_in(section: Mapping[str, Any], prefix: str, definitions: Mapping[str, Any]) -> Iterator[DescribedSetting]:
    for name, value in section["properties"].items():
        definition = definitions[value["$ref"].rpartition("/")[2]] if "$ref" in value else {}
        if "properties" in definition:
            yield from _settings_in(definition, f"{prefix}{name}.", definitions)
        else:
            yield DescribedSetting.of(prefix + name, {**definition, **value}, section[HEADING])
