"""Builds a checked `Config` from a YAML file, `--set` assignments and options. All problems are in one message."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from reprlib import Repr
from shlex import quote
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tf_tokclf.config.flat_settings import section_class
from tf_tokclf.config.schema import RECIPES, Config, recipe_settings
from tf_tokclf.config.shipped import shipped_config
from tf_tokclf.config.shipped_schema import described_settings
from tf_tokclf.config.yaml_text import Tree, parsed_yaml, yaml_text
from tf_tokclf.errors import UserError
from tf_tokclf.files import open_whole
from tf_tokclf.run_dir import RunDir
from tf_tokclf.similar_names import did_you_mean, similar_name

log = logging.getLogger(__name__)

# Names for the expected values, where pydantic's messages name Python classes.
_KINDS = {"model_type": "a section of settings", "tuple_type": "a list", "dict_type": "a mapping"}
# Limits how much of a wrong value is shown: with anchors, a few lines of YAML can describe a huge value.
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 120
_SHORT.maxlevel = 2
# Nesting depth of settings: sections in sections, and their settings.
_DEPTH = 3
# Suffixes of files of data, and never of configurations.
_DATA_SUFFIXES = {".conll", ".conllu", ".conll03", ".bio", ".iob", ".iob2", ".tags", ".tsv", ".csv", ".txt", ".text"}
_DATA_SUFFIXES |= {".jsonl", ".jsonlines", ".ndjson", ".parquet", ".spacy"}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
_LABELLED = re.compile(r"^\S+[ \t].*?(?<=[ \t])(?:O|[BIESLU]-\w\S*)\s*$")


def load_config(
    path: str | Path | None = None,
    *,
    assignments: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
    origins: Mapping[str, str] | None = None,
) -> Config:
    """Load and check a configuration.

    Args:
        path: A YAML file, or the name of a configuration that comes with tf-tokclf. Without it, all settings have their
            defaults.
        assignments: Settings as `"section.key=value"`, with the value in YAML. They override the file.
        options: Settings as `{"section.key": value}`. They override the file and `assignments`.
        origins: The places of assignments that come from a file of arguments: `{"section.key=value": place}`.

    Returns:
        The complete configuration. It is immutable.

    Raises:
        UserError: The configuration has problems. The message lists all of them.
    """
    tree = read_yaml(path) if path is not None else {}
    lines = _setting_lines(Path(path)) if path is not None else {}
    file_problems = [_key(problem) for problem in _problems_of(tree)] if path is not None else []
    _log_settings_over_recipe(tree)
    given: list[tuple[str, Any]] = []
    places: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: there is no '='.", hint="Write --set section.key=value.")
        given.append((key.strip(), _yaml_value(assignment, value)))
        places[key.strip()] = (origins or {}).get(assignment, f"--set {key.strip()}")
    places |= {key: _option_name(key) for key in options or {}}
    given += (options or {}).items()
    # A recipe that is given here overrides the file. Other settings that are given here override the recipe.
    chosen = dict(given)
    model = {"head": chosen["model.head"]} if "model.head" in chosen else tree.get("model")
    for key, value in [*_settings_of_recipe(chosen.get("recipe"), model).items(), *given]:
        _assign(tree, key, value)
    problems = _problems_of(tree)
    if not problems:
        return Config.model_validate(tree)
    # If all settings are options of the command line, messages need not name them.
    places = places if path is not None or origins else {}
    raise _config_error(
        [_placed(problem, lines, places, in_file=_key(problem) in file_problems) for problem in problems], path
    )


def _problems_of(tree: Tree) -> list[Any]:
    """The problems that pydantic finds in a tree of values."""
    try:
        Config.model_validate(tree)
    except ValidationError as error:
        return list(error.errors())
    return []


def _key(problem: Any) -> tuple[Any, str]:
    return problem["loc"], problem["msg"]


def _option_name(key: str) -> str:
    setting = described_settings().get(key)
    return setting.names[0] if setting and setting.names else f"--{key.replace('_', '-')}"


def _settings_of_recipe(recipe: Any, model: Any) -> Tree:
    """The settings that a recipe stands for, by dotted name. model: the section `model`."""
    sections = recipe_settings(recipe, model) if isinstance(recipe, str) and recipe in RECIPES else {}
    return {f"{section}.{key}": value for section, settings in sections.items() for key, value in settings.items()}


def _log_settings_over_recipe(tree: Tree) -> None:
    """Log the settings of a file that override those of its recipe."""
    beaten = [
        name
        for name in _settings_of_recipe(tree.get("recipe"), tree.get("model"))
        if isinstance(section := tree.get(name.partition(".")[0]), dict) and name.partition(".")[2] in section
    ]
    if beaten:
        log.info("recipe %s: overridden by %s in the file", tree["recipe"], ", ".join(beaten))


def read_yaml(path: str | Path) -> Tree:
    """The mapping in a YAML file. If there is no such file, the shipped configuration of that name.

    The file of a run of an earlier version, which had no recipe, gets the recipe none, so that its defaults stay the
    same.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError("is a folder, and a configuration file was expected.", path=path, hint="Name a file in it.")
    found = _found(path)
    if found is None:
        hint = did_you_mean(path, "Create one: tf-tokclf init")
        raise UserError("there is no such configuration file.", path=path, hint=hint)
    try:
        tree = _parsed(found)
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text (byte {error.start}).", path=found, hint="Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise UserError(
            f"not valid YAML: {problem}.", path=found, line=mark.line + 1 if mark else None, hint="Correct that line."
        ) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}.", path=found, hint="Check its permissions.") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError("is not a mapping of sections.", path=found, hint="For an example, see tf-tokclf init.")
    if "recipe" not in tree and _is_of_run(found, tree):
        tree["recipe"] = "none"
    return tree


def _parsed(path: Path) -> Any:
    """The value in a YAML file. Raises UserError if the file contains data."""
    is_data = path.suffix in _DATA_SUFFIXES or (path.suffix in _COMPRESSED and Path(path.stem).suffix in _DATA_SUFFIXES)
    try:
        text = path.read_text(encoding="utf-8")
        is_data = is_data or _has_labelled_lines(text)
        tree = parsed_yaml(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        if is_data:
            raise _data_error(path) from error
        raise
    if is_data and tree is not None and not (isinstance(tree, dict) and tree.keys() & Config.model_fields.keys()):
        raise _data_error(path)
    return tree


def _has_labelled_lines(text: str) -> bool:
    """Whether most of the first lines are a word with a label such as O or B-PER.

    >>> _has_labelled_lines("New B-LOC\\nYork I-LOC\\n\\nis O\\n"), _has_labelled_lines("training: {seed: 1}\\n")
    (True, False)
    """
    lines = [line for line in text[:10_000].splitlines() if line.strip()][:50]
    return 2 * sum(bool(_LABELLED.search(line)) for line in lines) > len(lines)


def _data_error(path: Path) -> UserError:
    problem = "looks like labelled data, and a configuration was expected."
    return UserError(problem, path=path, hint=f"Train on it: tf-tokclf fit --train-file {quote(str(path))}")


def _is_of_run(path: Path, tree: Tree) -> bool:
    """Whether the configuration at `path` was saved by a run, which left its files in the same folder."""
    run = RunDir(path.parent)
    if path.name != run.config.name or not is_saved_config(path):
        return False
    output_dir = tree["output_dir"]
    in_place = isinstance(output_dir, str) and Path(output_dir).absolute() == path.parent.absolute()
    return in_place or any(file.exists() for file in run.files if file.name != run.config.name)


def _found(path: Path) -> Path | None:
    return path if path.exists() else shipped_config(path)


def _setting_lines(path: Path) -> dict[str, int]:
    """The line of each setting and section in a file that `read_yaml` has read."""
    found = _found(path)
    assert found is not None  # it was read
    lines: dict[str, int] = {}
    sections = [("", yaml.compose(found.read_text(encoding="utf-8"), Loader=yaml.SafeLoader))]
    for _ in range(_DEPTH):
        inner = []
        for prefix, node in sections:
            for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode):
                    lines[f"{prefix}{key.value}"] = key.start_mark.line + 1
                    inner.append((f"{prefix}{key.value}.", value))
        sections = inner
    return lines


def check_config(tree: Tree) -> Config:
    """The `Config` for a tree of values. Raises UserError that lists every problem."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _config_error([_Problem(_problem_text(problem)) for problem in error.errors()], None) from None


@dataclass(frozen=True)
class _Problem:
    """A problem in a configuration. in_file: whether it is in the file. line, option: its line or its option."""

    text: str
    in_file: bool = False
    line: int | None = None
    option: str | None = None

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else self.option
        return f"{place}: {self.text}" if place else self.text


def _placed(problem: Any, lines: Mapping[str, int], origins: Mapping[str, str], *, in_file: bool) -> _Problem:
    """A problem with its place. lines, origins: dotted name -> line in the file, option."""
    names = list(takewhile(lambda part: isinstance(part, str), problem["loc"]))  # numbers: items of a list
    above = [".".join(names[:n]) for n in range(len(names), 0, -1)]
    option = next((origins[name] for name in above if name in origins), None)
    if option or not in_file:
        return _Problem(_problem_text(problem), option=option)
    return _Problem(_problem_text(problem), in_file=True, line=lines.get(".".join(names)))


def _config_error(problems: list[_Problem], source: str | Path | None) -> UserError:
    """The error that lists all problems. source: the file, which is named only if it contains one of them."""
    if len(problems) == 1:
        (one,) = problems
        return UserError(one.text, path=source if one.in_file else one.option, line=one.line)
    problems = sorted(problems, key=lambda one: one.line or 0)
    listing = "".join(f"\n  - {one}" for one in problems)
    is_in_file = any(one.in_file for one in problems)
    return UserError(f"{len(problems)} problems in the configuration:{listing}", path=source if is_in_file else None)


def with_settings(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with other values ("section.key" -> value). Raises UserError if they are invalid."""
    tree = config_tree(config)
    for key, value in values.items():
        _assign(tree, key, value)
    return check_config(tree)


def config_tree(config: Config) -> Tree:
    """The settings that the user set, as values for YAML. Settings at their defaults are left out."""
    return config.model_dump(mode="json", exclude_unset=True)


def save_config(config: Config, path: Path) -> None:
    """Write the settings that the user set. Loading the file gives the same configuration."""
    with open_whole(path) as file:
        file.write(config_text(config))


def config_text(config: Config) -> str:
    """The text that `save_config` writes."""
    return yaml_text(config_tree(config))


def is_saved_config(path: Path) -> bool:
    """Whether `save_config` wrote this file for a run, and not a person.

    The settings may be those of another version: only the formatting is checked.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = parsed_yaml(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(tree, dict) and "output_dir" in tree and yaml_text(tree) == text


def _yaml_value(assignment: str, text: str) -> Any:
    try:
        return parsed_yaml(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {assignment}: the value is not valid YAML.", hint="Quote it.") from error


def _assign(tree: Tree, key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        child = tree.setdefault(section, {})
        if not isinstance(child, dict):
            raise UserError(f"--set {key}: {section} is not a section.", hint=nearest_hint(key))
        tree = child
    tree[name] = value


def _problem_text(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in ("extra_forbidden", "invalid_key"):
        return f"there is no setting {where}. {nearest_hint(where)}".rstrip()
    if problem["type"] in _KINDS:
        return f"{where}: {_SHORT.repr(problem['input'])} is not {_KINDS[problem['type']]}."
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    message = message.partition(", unable to parse")[0]
    if problem["type"] == "value_error":
        return f"{where}: {message}." if where else f"{message}."
    return f"{where}: {_SHORT.repr(problem['input'])} is not {message}."


def nearest_hint(where: str) -> str:
    """A hint that asks for the setting with the most similar name."""
    known = list(setting_names(Config))
    near = similar_name(where, known, cutoff=0.5)
    if not near:
        by_leaf = {name.rpartition(".")[2]: name for name in known}
        leaf = similar_name(where.rpartition(".")[2], by_leaf, cutoff=0.6)
        near = by_leaf[leaf] if leaf else None
    return f"Did you mean {near}?" if near else "All are listed by: tf-tokclf config schema."


def setting_names(section: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """The dotted names of all settings below `section`."""
    for name, field in section.model_fields.items():
        yield prefix + name
        child = section_class(field.annotation)
        if child is not None:
            yield from setting_names(child, f"{prefix}{name}.")
