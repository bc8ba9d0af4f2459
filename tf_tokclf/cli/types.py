"""Types of option values: conversion of their text, and shell completion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from tf_tokclf.config.shipped_schema import without_prefixes


class Text(click.types.StringParamType):
    """Text that shells complete to file names, because nearly all arguments and most options can be files."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete file names."""
        return [CompletionItem(incomplete, type="file")]


class NameOrNumber(click.ParamType):
    """A column or layer by name, or by number from 0 (negative: from the end)."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """An int for a number, else the text.

        >>> [NameOrNumber().convert(text, None, None) for text in ("ner_tags", "1", "-1")]
        ['ner_tags', 1, -1]
        """
        digits = str(value).removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() else value


class PrefixedChoice(click.Choice):
    """One of `choices`, which may begin with `prefixes` that have no meaning."""

    def __init__(self, choices: Sequence[str], prefixes: Sequence[str]) -> None:
        super().__init__(choices)
        self._prefixes = prefixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The choice.

        >>> PrefixedChoice(["f1", "loss"], ["eval_"]).convert("eval_loss", None, None)
        'loss'
        """
        return super().convert(without_prefixes(str(value), self._prefixes), param, ctx)


class SweptSetting(click.ParamType):
    """A setting with values to try, as YAML."""

    name = "SECTION.KEY=V,V,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, list[Any]]:
        """The name and the values.

        >>> SweptSetting().convert("optimizer.clip_norm=1.0,null", None, None)
        ('optimizer.clip_norm', [1.0, None])
        """
        import yaml

        from tf_tokclf.config.yaml_text import parsed_yaml

        name, equals, text = value.partition("=")
        if not (name.strip() and equals and text.strip()):
            such = "SECTION.KEY=V,V,... such as optimizer.learning_rate=1e-5,3e-5"
            self.fail(f"{value[:99]!r} is not {such}.", param, ctx)
        try:
            values = parsed_yaml(text if text.lstrip().startswith("[") else f"[{text}]")
        except yaml.YAMLError:
            self.fail(f"{value[:99]!r}: the values are not valid YAML. Quote them.", param, ctx)
        return name.strip(), values


class FiniteRange(click.FloatRange):
    """A range of numbers that excludes NaN, which click accepts."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class ChoiceList(click.ParamType):
    """Some of `choices`, separated by commas, or none."""

    name = "list"

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"none|{'|'.join(self.choices)},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names in `value`.

        >>> ChoiceList("csv", "wandb").convert("wandb, csv", None, None)
        ('wandb', 'csv')
        """
        if not isinstance(value, str):
            return tuple(value)
        names = tuple(name.strip() for name in value.split(",") if name.strip() not in ("", "none"))
        for name in names:
            if name not in self.choices:
                self.fail(f"{name!r} is not one of none, {', '.join(self.choices)}.", param, ctx)
        return names


class NameList(click.ParamType):
    """Names separated by commas. Shells complete each to one of `known`, but other names are allowed."""

    name = "list"

    def __init__(self, *known: str) -> None:
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names.

        >>> NameList().convert("test F1, date", None, None)
        ('test F1', 'date')
        """
        if not isinstance(value, str):
            return tuple(value)
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail("it contains no name.", param, ctx)
        return names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete the last name."""
        before, comma, begun = incomplete.rpartition(",")
        given = before.split(",")
        names = (name for name in self._known if name.startswith(begun) and name not in given)
        return [CompletionItem(f"{before}{comma}{name}") for name in names]
