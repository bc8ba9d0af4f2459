"""Translation of a command line of transformers' run_ner.py, or of its file of arguments, into options of `fit`."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.run_ner_flags import LISTS, SECRETS, SWITCHES, Ignored, Ours, Refused, Row, option_of, row_by_name
from tf_tokclf.cli.setting_options import SettingOption
from tf_tokclf.cli.types import ChoiceList
from tf_tokclf.config.shipped_schema import described_settings
from tf_tokclf.errors import UserError
from tf_tokclf.json_text import parse_json

log = logging.getLogger(__name__)

PAGE = "docs/from-run-ner.md"
# The spellings of truth values that transformers' HfArgumentParser accepts.
_TRUE, _FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")
# Values with which an argument that cannot be used is turned off.
_OFF = ("", "none", "null", "{}", "[]", *_FALSE)
# Arguments files are short. Larger files are not read, because they are something else.
_LONGEST_FILE = 1 << 20
_LONGEST_SHOWN = 60

Options = Mapping[str, click.Option]


@dataclass(frozen=True)
class Argument:
    """An argument that was given. name: without hyphens. typed: as the user wrote it. value: None if there is none."""

    name: str
    typed: str
    value: str | None = None
    in_file: bool = False

    @property
    def is_true(self) -> bool:
        """The value of a switch, which is true if it has no value."""
        return self.value is None or self.value.lower() not in _FALSE

    @property
    def key(self) -> str:
        """The value in the spelling of the table: 0 for 0.0, and true and false for all spellings of a switch."""
        value = "true" if self.value is None else self.value
        if self.name in SWITCHES:
            return str(self.is_true).lower()
        try:
            return f"{float(value):g}"
        except ValueError:
            return value.lower() if value.lower() in (*_TRUE, *_FALSE) else value

    def __str__(self) -> str:
        return self.typed

    @property
    def with_value(self) -> str:
        """The argument with its value, unless that is secret."""
        if self.value is None or self.name in SECRETS:
            return self.typed
        shown = self.value if len(self.value) <= _LONGEST_SHOWN else f"{self.value[:_LONGEST_SHOWN]}..."
        return f"{self.typed} {shown}"


@dataclass(frozen=True)
class Outcome:
    """What becomes of an argument.

    args: the options that it sets. first: whether they come before all others, which then override them. ignored: why
    it has no effect. problem: why it cannot be used, and whether for any value.
    """

    args: tuple[str, ...] = ()
    first: bool = False
    ignored: str = ""
    problem: str = ""
    for_any_value: bool = False


@dataclass
class Translation:
    """The options of `fit` that a command line stands for, and what to tell the user about it."""

    args: list[str]
    read_as: list[str] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    error: UserError | None = None

    def log(self) -> None:
        """Log which arguments mean other options, and which have no effect."""
        if self.read_as:
            log.info("arguments of run_ner.py: %s", ", ".join(self.read_as))
        for why, typed in self.ignored.items():
            log.info("%s: no effect, because %s", ", ".join(dict.fromkeys(typed)), why)


def translated(args: Sequence[str], options: Options) -> Translation:
    """The translation of a command line of `fit`. Its `error` is set if an argument cannot be used.

    Options of `fit` that run_ner.py does not have stay as they are. If CONFIG is a file of arguments of run_ner.py,
    the command line overrides it.
    """
    parts = list(_parts(args, options))
    path = next((part for part in parts if isinstance(part, str) and not part.startswith("-")), None)
    content = arguments_file(path) if path else None
    in_file: list[Argument | _Kept] = []
    if content is not None:
        parts.remove(path)  # type: ignore[arg-type]
        in_file = list(_parts(list(_as_command_line(content)), options, in_file=True))
    return _assembled([*in_file, *parts], options, path if content is not None else None)


@dataclass(frozen=True)
class _Kept:
    """Arguments of the command line that stay as they are. unknown: whether no command has them."""

    args: tuple[str, ...]
    unknown: bool = False


def _parts(args: Sequence[str], options: Options, *, in_file: bool = False) -> Iterator[Any]:
    """The arguments of run_ner.py in a command line, and everything else: words as text, options as `_Kept`."""
    at = 0
    while at < len(args):
        word, after = args[at], args[at + 1 :]
        if word == "--":
            yield _Kept(tuple(args[at:]))
            return
        part, n_values = _part(word, after, options, in_file) if word.startswith("--") else (word, 0)
        yield part
        at += 1 + n_values


def _part(word: str, after: Sequence[str], options: Options, in_file: bool) -> tuple[Any, int]:
    """What an argument that begins with two hyphens is, and how many of the arguments after it are its values."""
    typed, equals, value = word.partition("=")
    name = typed.removeprefix("--").replace("-", "_")
    option = options.get(f"--{name.replace('_', '-')}")
    is_negated = name.startswith("no_") and name.removeprefix("no_") in SWITCHES
    if name not in row_by_name() and is_negated and option is None:
        return Argument(name.removeprefix("no_"), typed, "false", in_file), 0
    if name not in row_by_name():
        n_values = 0 if option is None or option.is_flag or equals else min(1, len(after))
        return _Kept((_hyphenated(word, option), *after[:n_values]), unknown=option is None), n_values
    if equals:
        return Argument(name, typed, value, in_file), 0
    n_values = _n_values(name, after, option)
    given = after[:n_values]
    return Argument(name, typed, ",".join(given) if given else None, in_file), n_values


def _hyphenated(word: str, option: click.Option | None) -> str:
    typed, equals, value = word.partition("=")
    return f"{typed.replace('_', '-')}{equals}{value}" if option else word


def _n_values(name: str, after: Sequence[str], option: click.Option | None) -> int:
    """How many of the arguments after an argument are its values."""
    if name in SWITCHES:
        return int(bool(after) and after[0].lower() in (*_TRUE, *_FALSE))
    n_words = next(
        (n for n, word in enumerate(after) if word.startswith("--") or word in ("-q", "-v", "-h")), len(after)
    )
    if name in LISTS:
        return n_words
    # click takes whatever comes next as the value of an option of ours.
    return min(1, len(after) if option is not None and not option.is_flag else n_words)


def arguments_file(path: str) -> dict[str, Any] | None:
    """The content of a file of arguments of run_ner.py. None if it is something else, such as a configuration."""
    file = Path(path)
    try:
        if file.suffix != ".json" or file.stat().st_size > _LONGEST_FILE:
            return None
        content = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    ours = {name.partition(".")[0] for name in described_settings()}
    is_theirs = any(name in row_by_name() and name not in ours for name in content)
    is_ours = any(name in ours and isinstance(value, dict) for name, value in content.items())
    return content if is_theirs and not is_ours else None


def _as_command_line(content: Mapping[str, Any]) -> Iterator[str]:
    """The command line for a file of arguments. null is the default of all arguments that can be null."""
    for name, value in content.items():
        if isinstance(value, list) and name in LISTS:
            yield from (f"--{name}", *map(str, value))
        elif value is not None and not name.startswith("_"):
            yield f"--{name}={value if isinstance(value, str) else json.dumps(value)}"


def _assembled(parts: Iterable[Any], options: Options, file: str | None) -> Translation:
    parts = list(parts)
    values = {part.name: part for part in parts if isinstance(part, Argument)}
    result, first = Translation([]), list[str]()
    for part in parts:
        if isinstance(part, str):
            result.args.append(part)
        elif isinstance(part, Argument) and values[part.name] is not part:
            continue  # given again later
        elif isinstance(part, _Kept):
            result.args += part.args
            if part.unknown:
                result.problems.setdefault("there is no such option", []).append(part.args[0])
        else:
            outcome = _outcome(part, values, options)
            args = _assigned(outcome.args, options) if part.in_file else outcome.args
            (first if outcome.first or part.in_file else result.args).extend(args)
            _note(result, part, outcome)
    result.args[:0] = first
    result.error = _not_training(values) or _error(result.problems, file)
    return result


def _note(result: Translation, argument: Argument, outcome: Outcome) -> None:
    """Add what to tell the user about an argument."""
    if outcome.ignored:
        result.ignored.setdefault(outcome.ignored, []).append(argument.typed)
    elif outcome.problem:
        shown = argument.typed if outcome.for_any_value else argument.with_value
        result.problems.setdefault(outcome.problem, []).append(shown)
    elif outcome.args and outcome.args[0] != argument.typed.replace("_", "-"):
        result.read_as.append(f"{argument.typed} as {shlex.join(outcome.args)}")


def _error(problems: Mapping[str, list[str]], file: str | None) -> UserError | None:
    """One message about all arguments that cannot be used. None if click's own message is enough."""
    if not problems or (file is None and list(problems) == ["there is no such option"]):
        return None
    n = sum(map(len, problems.values()))
    listed = [f"{', '.join(typed)}: {why}." for why, typed in problems.items()]
    remedy = f"What to use instead is listed in {PAGE}."
    if n == 1:
        return UserError(f"{listed[0]} Remove it.", path=file, hint=remedy)
    listing = "".join(f"\n  - {line}" for line in listed)
    return UserError(f"{n} arguments cannot be used:{listing}\nRemove them.", path=file, hint=remedy)


def _not_training(values: Mapping[str, Argument]) -> UserError | None:
    """The error for a command line with which run_ner.py does not train, with the commands to use."""
    train, evaluation, prediction = (values.get(f"do_{what}") for what in ("train", "eval", "predict"))
    if (train and train.is_true) or not any(part and part.is_true for part in (evaluation, prediction)):
        return None
    commands = [
        _evaluate_command(values, split, extra)
        for part, split, extra in (
            (evaluation, "validation", ()),
            (prediction, "test", ("--output-predictions", "predictions.jsonl")),
        )
        if part and part.is_true
    ]
    listing = "".join(f"\n  {command}" for command in commands)
    return UserError(f"this command line does not train: --do_train is missing or false. To score a model:{listing}")


def _evaluate_command(values: Mapping[str, Argument], split: str, extra: Sequence[str]) -> str:
    def value(name: str) -> str | None:
        return values[name].value if name in values else None

    file = value(f"{split}_file")
    if (folder := value("data_dir")) and not file:
        file = str(Path(folder) / _FILES[split])
    if file is None and (name := value("dataset_name")):
        data = ["--split", split, "--set", f"data.dataset_name={name}"]
    else:
        data = ["--file", file or "FILE"]
    return shlex.join(["tf-tokclf", "evaluate", value("model_name_or_path") or "MODEL", *data, *extra])


def _outcome(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    """What becomes of an argument. values: all arguments."""
    row: Row = row_by_name()[argument.name]
    if not isinstance(row, Ours) and f"--{argument.name.replace('_', '-')}" in options:
        row = Ours((argument.name,))
    if argument.name in _RULES:
        return _RULES[argument.name](argument, values, options)
    if isinstance(row, Ours):
        return _set_by(argument, row, options)
    if isinstance(row, Refused):
        is_off = argument.value is not None and argument.value.lower() in _OFF
        return Outcome() if is_off else Outcome(problem=row.why, for_any_value=True)
    same = values.get(row.same_as or "")
    accepted = (*row.only, same.key) if same else row.only
    if row.why_not_others and argument.key not in accepted:
        return Outcome(problem=row.why_not_others)
    return Outcome(ignored=row.why)


def _set_by(argument: Argument, row: Ours, options: Options) -> Outcome:
    """The outcome for an argument that sets an option or a setting."""
    if row.setting:
        return Outcome(("--set", f"{row.setting}={argument.value or ''}"))
    name = option_of(argument.name, row)
    option = options[name]
    if option.is_flag:
        return Outcome((name,) if argument.is_true else _turned_off(option))
    if argument.value is None:
        return Outcome((name,))  # click says that the value is missing
    if argument.key in row.dropped:
        return Outcome(ignored=f"{argument.value} is the default here")
    if argument.key in row.assigned:
        return Outcome(("--set", row.assigned[argument.key]))
    if set(argument.value.split(",")) & set(row.refused):
        return Outcome(problem=row.why)
    value = row.values.get(argument.value, argument.value)
    if isinstance(option.type, click.types.IntParamType) and _is_number(value) and not _is_number(value, int):
        if not float(value).is_integer():
            return Outcome(problem="only whole numbers are possible")
        value = str(int(float(value)))
    return Outcome((name, value))


def _is_number(text: str, kind: type = float) -> bool:
    try:
        return abs(kind(text)) < float("inf")
    except ValueError:
        return False


def _turned_off(option: click.Option) -> tuple[str, ...]:
    """The option that a switch with the value false sets."""
    if not isinstance(option, SettingOption) or not isinstance(option.flag_value, bool):
        return ()
    return "--set", f"{option.setting}={json.dumps(not option.flag_value)}"


def _assigned(args: Sequence[str], options: Options) -> Iterator[str]:
    """Options of settings as assignments, which --set and other options override. Others as they are."""
    rest = list(args)
    while rest:
        name = rest.pop(0)
        option = options.get(name)
        if not isinstance(option, SettingOption) or not (option.is_flag or rest):
            yield name
            continue
        value = option.flag_value if option.is_flag else option.type.convert(rest.pop(0), option, None)
        yield from ("--set", f"{option.setting}={json.dumps(value, ensure_ascii=False)}")


# Arguments whose meaning depends on other arguments, on the file system or on the environment.

_FILES = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}


def _data_dir(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    folder = Path(argument.value or ".")
    args = []
    for split, name in _FILES.items():
        if split == "train" or (folder / name).is_file():
            args += [f"--{split}-file", str(folder / name)]
    return Outcome(tuple(args), first=True)


def _task_name(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    task = options["--task"].type
    assert isinstance(task, click.Choice)
    name = (argument.value or "").lower()
    known = name in task.choices
    return Outcome(("--task", name)) if known else Outcome(ignored="the column of labels is detected")


def _precision(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    if argument.is_true:
        return Outcome((f"--{argument.name}",))
    return Outcome(("--precision", "float32"), first=True)


def _do(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    row = row_by_name()[argument.name]
    assert isinstance(row, Ignored)
    is_fine = argument.is_true or argument.name != "do_train"
    return Outcome(ignored=row.why) if is_fine else Outcome(problem=row.otherwise)


def _report_to(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    row, option = row_by_name()[argument.name], options["--report-to"]
    assert isinstance(row, Ours)
    assert isinstance(option.type, ChoiceList)
    if argument.value != "all":
        return _set_by(argument, row, options)
    # The others are packages of the same name.
    installed = [name for name in option.type.choices if name in ("tensorboard", "csv") or find_spec(name)]
    return Outcome(("--report-to", ",".join(installed)))


def _old_model_id(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    """The repository of an older version: owner and name are two arguments, and the name is the output folder's."""
    owner, name, folder = (
        values.get(f"{key}") for key in ("push_to_hub_organization", "push_to_hub_model_id", "output_dir")
    )
    if name is not None and argument is not name:
        return Outcome(ignored=f"{name} contains it")
    model = name.value if name else Path(folder.value or "").name if folder else None
    if not model:
        return Outcome(problem="the name of the repository is unknown")
    return Outcome(("--hub-model-id", f"{owner.value}/{model}" if owner else model))


_RULES = {
    "data_dir": _data_dir,
    "task_name": _task_name,
    "fp16": _precision,
    "bf16": _precision,
    **dict.fromkeys(("do_train", "do_eval", "do_predict"), _do),
    "report_to": _report_to,
    **dict.fromkeys(("push_to_hub_model_id", "push_to_hub_organization"), _old_model_id),
}
