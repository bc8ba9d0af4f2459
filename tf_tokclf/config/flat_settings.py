"""All settings as a flat list in the order of the schema, and the differences between two configurations."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tf_tokclf.config.fields import is_by_recipe
from tf_tokclf.config.schema import Config

_TYPES = {str: "text", int: "whole number", float: "number"}
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}

_FREE = {
    # The settings that it chooses are compared instead.
    "recipe",
    "output_dir",
    "overwrite",
    "sweep",
    "sweep_trials",
    "training.gradient_checkpointing",
    "training.logging_steps",
    "training.report_to",
    "training.checkpoints",
    "training.keep_checkpoints",
    "training.checkpoint_steps",
    "training.checkpoint_minutes",
    "training.strategy",
    "training.worker_timeout_s",
    "data.train_file",
    "data.validation_file",
    "data.test_file",
    "data.dataset_name",
    "data.extra_file",
    "data.use_cache",
    "data.cache_size_gb",
    "model.name_or_path",
}
_FREE_SECTIONS = ("hub.",)


@dataclass(frozen=True)
class Setting:
    """A setting: dotted name, type of its values in words, default and description.

    by_recipe: whether the recipe auto chooses it. The default is then that of the recipe none.
    """

    name: str
    kind: str
    default: Any
    description: str
    by_recipe: bool = False

    @property
    def key(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class SettingSection:
    """A section with its settings. Settings outside all sections are in a section without a name."""

    name: str
    about: str
    settings: tuple[Setting, ...]


def setting_sections() -> list[SettingSection]:
    """All sections. The name of a nested one is `outer.inner`.

    >>> [section.name for section in setting_sections()][:4]
    ['', 'data', 'model', 'alignment']
    """
    return list(_sections(Config, ""))


def setting_values(config: BaseModel, prefix: str = "") -> dict[str, Any]:
    """All settings: dotted name -> JSON value."""
    values: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            values |= setting_values(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = plain(value)
    return values


def values_or_auto(config: Config) -> dict[str, Any]:
    """All settings as in `setting_values`, but "auto" for those that the recipe has not chosen yet."""
    return setting_values(config) | dict.fromkeys(config.left_to_recipe, "auto")


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ: name -> both values.

    >>> differences({"seed": 1, "task": "ner"}, {"seed": 2, "task": "ner"})
    {'seed': (1, 2)}
    """
    return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


def is_free(name: str) -> bool:
    """Whether a setting does not affect the weights. Of input files, the content does, but not the path.

    >>> is_free("output_dir"), is_free("hub.private"), is_free("optimizer.learning_rate")
    (True, True, False)
    """
    return name in _FREE or name.startswith(_FREE_SECTIONS)


def plain(value: Any) -> Any:
    """A value as JSON and YAML represent it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


def _sections(model: type[BaseModel], prefix: str) -> Iterator[SettingSection]:
    own, inner = [], []
    for name, field in model.model_fields.items():
        child = section_class(field.annotation)
        if child is not None:
            inner.append((child, f"{prefix}{name}"))
        else:
            default = plain(field.get_default(call_default_factory=True))
            own.append(Setting(prefix + name, _kind(field), default, field.description or "", is_by_recipe(field)))
    if own:
        yield SettingSection(prefix.rstrip("."), inspect.cleandoc(model.__doc__ or ""), tuple(own))
    for child, name in inner:
        yield from _sections(child, f"{name}.")


def section_class(annotation: Any) -> type[BaseModel] | None:
    """The section class of a field, None if the field is not a section."""
    candidates = (annotation, *get_args(annotation))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _kind(field: FieldInfo) -> str:
    """The type and bounds of a field's values in words."""
    return _either(_alternatives(field.annotation, field.metadata))


def _alternatives(annotation: Any, constraints: Iterable[Any] = ()) -> list[str]:
    """The possible values of a type in words. The constraints are those of its numbers.

    >>> _alternatives(Literal["a", "b"] | None), _alternatives(tuple[str, ...])
    (['a', 'b', 'null'], ['list of text'])
    >>> from typing import Annotated
    >>> from pydantic import Field
    >>> _alternatives(Annotated[int, Field(gt=0)] | None)
    ['whole number above 0', 'null']
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return [str(value) for value in arguments]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    if origin in (Union, types.UnionType):
        return [text for argument in arguments for text in _alternatives(argument, constraints)]
    if origin is tuple:
        return [f"list of {_either(_alternatives(arguments[0]))}"]
    if origin is dict:
        key, value = (_either(_alternatives(argument)) for argument in arguments)
        return [f"mapping of {key} to {value}"]
    if hasattr(annotation, "__metadata__"):
        return _alternatives(arguments[0], [*annotation.__metadata__, *constraints])
    if annotation is type(None):
        return ["null"]
    if annotation is bool:
        return ["true", "false"]
    bounds = " and ".join(_bounds(constraints)) if annotation in (int, float) else ""
    return [f"{_TYPES[annotation]} {bounds}".rstrip()]


def _bounds(constraints: Iterable[Any]) -> Iterator[str]:
    for constraint in constraints:
        if isinstance(constraint, FieldInfo):
            yield from _bounds(constraint.metadata)
        else:
            for name, word in _BOUNDS.items():
                if getattr(constraint, name, None) is not None:
                    yield f"{word} {_number(getattr(constraint, name))}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
