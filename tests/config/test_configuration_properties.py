"""Properties of all configurations: they are read as they were written, differences are named, and any file or
assignment results in a configuration or in a message."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tf_tokclf.config.flat_settings import differences, section_class, setting_values
from tf_tokclf.config.loading import check_config, config_tree, is_saved_config, load_config, save_config, with_settings
from tf_tokclf.config.schema import Config
from tf_tokclf.config.starter import Amount, starter_yaml
from tf_tokclf.config.yaml_text import yaml_line
from tf_tokclf.errors import UserError

# Text that YAML would read as another type if it were not quoted, and any other text.
texts = st.one_of(
    st.sampled_from(["", "null", "~", "1e-4", "0o7", "yes", "2026-11-25", "# x", "a: b", "- a", "...", "\x85", "\t="]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


def values_of(annotation: Any, constraints: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """A strategy for the values of a setting, derived from its type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values_of(arguments[0], (*constraints, *_flat(arguments[1:])))
    if origin in (Union, UnionType):
        return st.one_of([values_of(argument, constraints) for argument in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from([member.value for member in annotation])
    if annotation is type(None):
        return st.none()
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        return texts
    bounds: dict[str, Any] = {}
    for one in constraints:
        for kind, name, excluded in ((Ge, "ge", "min"), (Gt, "gt", "min"), (Le, "le", "max"), (Lt, "lt", "max")):
            if isinstance(one, kind):
                bounds[f"{excluded}_value"] = getattr(one, name)
                if kind in (Gt, Lt):
                    bounds[f"exclude_{excluded}"] = True
    if annotation is int:
        low = bounds.get("min_value", -(2**40)) + bounds.get("exclude_min", False)
        return st.integers(low, bounds.get("max_value", 2**40))
    assert annotation is float
    return st.floats(**bounds, allow_nan=False, allow_infinity=False)


def _flat(constraints: tuple[Any, ...]) -> Iterator[Any]:
    for one in constraints:
        yield from one.metadata if isinstance(one, FieldInfo) else (one,)


def leaves(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, st.SearchStrategy[Any]]]:
    """All settings: dotted name -> strategy for its values."""
    for name, field in section.model_fields.items():
        if child := section_class(field.annotation):
            yield from leaves(child, f"{prefix}{name}.")
        else:
            yield prefix + name, values_of(field.annotation, tuple(field.metadata))


# A recipe is replaced by its settings.
LEAVES = {name: values for name, values in leaves(Config) if name != "recipe"}


@st.composite
def some_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Values for a few settings. Each of them is valid on its own."""
    names = draw(st.lists(st.sampled_from(sorted(LEAVES)), max_size=6, unique=True))
    return {name: draw(LEAVES[name]) for name in names}


@st.composite
def configurations(draw: st.DrawFn) -> Config:
    """A configuration with a few settings, without combinations that are refused."""
    try:
        return with_settings(Config(), draw(some_settings()))
    except UserError:
        reject()


def written(text: str) -> Path:
    """A file with this text, in a new folder."""
    folder = Path(_FOLDER.name)
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    return path


_FOLDER = TemporaryDirectory(prefix="tf-tokclf-test-")


def outcome_of(make: Callable[[], Config]) -> tuple[Config | None, str]:
    """The configuration, or the message of the UserError. Other exceptions are bugs."""
    try:
        return make(), ""
    except UserError as error:
        return None, str(error)


def test_there_is_a_strategy_for_every_setting():
    assert {*LEAVES, "recipe"} == set(setting_values(Config()))


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_values_that_a_setting_should_take_are_taken_and_kept(name: str):
    """Otherwise the properties below would test nothing."""

    @settings(max_examples=15)
    @given(LEAVES[name])
    def check(value: Any) -> None:
        config, message = outcome_of(lambda: with_settings(Config(), {name: value}))
        if config is None:
            known = ("more than once", "leave no sentences for training")
            assert any(reason in message for reason in known), (name, value, message)
        else:
            assert setting_values(config)[name] == value

    check()


@given(configurations())
def test_what_is_saved_reads_back_to_the_same(config: Config):
    path = written("")
    save_config(config, path)
    again = load_config(path)
    assert again == config
    assert config_tree(again) == config_tree(config)
    assert is_saved_config(path) == ("output_dir" in config_tree(config))


@given(configurations(), st.sampled_from(Amount))
def test_a_filled_configuration_reads_back_to_the_same_values(config: Config, amount: Amount):
    values = setting_values(config)
    again = load_config(written(starter_yaml(values, amount)))
    assert differences(values, setting_values(again)) == {}


@given(configurations(), configurations())
def test_the_differences_turn_one_configuration_into_the_other(a: Config, b: Config):
    before, after = setting_values(a), setting_values(b)
    found = differences(before, after)
    changed = with_settings(a, {name: new for name, (_, new) in found.items()})
    assert setting_values(changed) == after
    assert differences(after, before) == {name: (new, old) for name, (old, new) in found.items()}


@given(some_settings(), some_settings(), some_settings())
def test_options_win_over_assignments_which_win_over_the_file(
    in_file: dict[str, Any], assigned: dict[str, Any], options: dict[str, Any]
):
    path = written(starter_yaml(in_file, Amount.MINIMAL) or "{}")
    assignments = [f"{name}={yaml_line(value)}" for name, value in assigned.items()]
    config, message = outcome_of(lambda: load_config(path, assignments=assignments, options=options))
    if config is None:
        # Each of them is valid on its own, so only combinations can be refused.
        known = ("not both", "more than once", "leave no sentences for training", "with model.head: crf")
        assert any(reason in message for reason in known), message
        return
    values = setting_values(config)
    for name, value in {**in_file, **assigned, **options}.items():
        assert values[name] == value


# Known and unknown keys, and values of all types, nested at random, as in files with mistakes.
keys = st.one_of(st.sampled_from([*Config.model_fields, *(n.rpartition(".")[2] for n in LEAVES)]), texts, st.integers())
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.binary(max_size=4), st.dates(), st.datetimes()
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
# Characters with a meaning in YAML, and a few with a meaning here.
yaml_noise = st.text(st.sampled_from("{}[]:,-?!&*|>%@`#'\"\\ \n\t0x1e._~=<tndas\x85\u2028\u00e9\x07"), max_size=40)
sections = st.dictionaries(st.sampled_from(list(Config.model_fields)), trees, max_size=4)


def assert_a_configuration_or_a_message(text: str) -> None:
    """Everything that uses a configuration works, or there is one message that is not too long."""
    path = written(text)
    config, message = outcome_of(lambda: load_config(path))
    if config is None:
        assert 10 < len(message) < 4000
        return
    save_config(config, path)
    assert load_config(path) == config
    values = setting_values(config)
    assert setting_values(load_config(written(starter_yaml(values, Amount.FULL)))) == values


@given(yaml_noise)
@example('data: {train_file: "\\ud800"}')
@example('output_dir: "\\udcff"')
@example('hub: {card: {sections: {"\\ud800": x}}}')
@example("? [a]\n: b")
@example("<<: 1")
@example("<<: {task: pos}")
@example("data: {<<: {train_file: a}, train_file: b}")
@example("0x_: 1")
@example("training: {seed: 0b}")
@example("training: {seed: 190:20:30}")
@example("a: !!binary =")
@example("a: !!timestamp x")
@example("training: {seed: !!int ''}")
@example("training: {worker_timeout_s: !!float ''}")
@example("--- a\n--- b")
def test_any_text_is_a_configuration_or_a_message(text: str):
    assert_a_configuration_or_a_message(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_characters_are_a_configuration_or_a_message(text: str):
    assert_a_configuration_or_a_message(text)


@given(st.one_of(sections, trees))
def test_any_tree_is_a_configuration_or_a_message(tree: Any):
    assert_a_configuration_or_a_message(yaml.safe_dump(tree, allow_unicode=True))


@given(st.one_of(sections, st.dictionaries(keys, trees, max_size=3)))
def test_any_mapping_is_checked_without_a_surprise(tree: Any):
    config, message = outcome_of(lambda: check_config(tree))
    assert (config is None) == bool(message)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_configuration_or_a_message(content: bytes):
    path = written("")
    path.write_bytes(content)
    config, message = outcome_of(lambda: load_config(path))
    assert config is not None or str(path) in message


@given(
    st.one_of(st.sampled_from(sorted(LEAVES)), st.sampled_from(list(Config.model_fields)), st.text(string.printable)),
    st.one_of(yaml_noise, trees.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True))),
    st.one_of(st.sampled_from(["=", "", "==", "."])),
)
def test_any_assignment_is_a_configuration_or_a_message(name: str, value: str, sign: str):
    config, message = outcome_of(lambda: load_config(assignments=[f"{name}{sign}{value}"]))
    if config is None:
        assert message
    else:
        again = [f"{key}={yaml_line(one)}" for key, one in setting_values(config).items()]
        assert setting_values(load_config(assignments=again)) == setting_values(config)
