"""Translation of a command line of transformers' run_ner.py, or of its file of arguments, into options of `fit`."""

from __future__ import annotations

import json
import logging
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.run_ner_arguments import (
    FALSE,
    TRUE,
    Argument,
    Kept,
    Options,
    Part,
    arguments_file,
    as_command_line,
    parts_of,
    without_script,
)
from tf_tokclf.cli.run_ner_flags import SWITCHES, Ignored, Ours, Refused, Row, option_of, row_by_name
from tf_tokclf.cli.setting_options import SettingOption
from tf_tokclf.cli.similar_options import similar_option
from tf_tokclf.cli.types import ChoiceList
from tf_tokclf.errors import UserError

log = logging.getLogger(__name__)

PAGE = "docs/from-run-ner.md"
# Values with which an argument that cannot be used is turned off.
_OFF = ("", "none", "null", "{}", "[]", *FALSE)
_UNKNOWN = "there is no such option"
_NO_VALUE = "the value is missing"


@dataclass(frozen=True)
class Outcome:
    """What becomes of an argument.

    args: the options that it sets. first: whether they come before all others, which then override them. ignored: why
    it has no effect. problem: why it cannot be used. for_any_value: whether that is so for any value. is_wrong: whether
    the user has to correct the value.
    """

    args: tuple[str, ...] = ()
    first: bool = False
    ignored: str = ""
    problem: str = ""
    for_any_value: bool = False
    is_wrong: bool = False


@dataclass
class Translation:
    """The options of `fit` that a command line is translated to, and what to tell the user about it.

    read_as: what the user typed, and what it means here. origins: the arguments of `--set` and the options that
    come from a file, each with the file and the argument in it. wrong: the problems that another value solves.
    """

    args: list[str]
    read_as: list[tuple[str, str]] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    origins: dict[str, str] = field(default_factory=dict)
    error: UserError | None = None

    def log(self) -> None:
        """Log which arguments mean other options, and which have no effect."""
        if self.read_as:
            first, *others = self.read_as
            log.info("%s", ", ".join([f"{first[0]} is read as {first[1]}", *(f"{a} as {b}" for a, b in others)]))
        for why, typed in self.ignored.items():
            log.info("%s: no effect, because %s", ", ".join(dict.fromkeys(typed)), why)
        if (self.read_as or self.ignored) and "--recipe" not in (arg.partition("=")[0] for arg in self.args):
            log.info("the other settings are chosen for the encoder and the data. --recipe none: as in run_ner.py")


def translated(args: Sequence[str], options: Options) -> Translation:
    """The translation of a command line of `fit`. Its `error` is set if an argument cannot be used.

    Options of `fit` that run_ner.py does not have stay as they are. If CONFIG is a file of arguments of run_ner.py,
    the command line overrides it.
    """
    parts, launcher = without_script(list(parts_of(args, options)))
    path = next((part for part in parts if isinstance(part, str) and not part.startswith("-")), None)
    content = arguments_file(path) if path else None
    in_file: list[Part] = []
    if content is not None:
        parts.remove(path)  # type: ignore[arg-type]
        in_file = list(parts_of(list(as_command_line(content)), options, in_file=True))
    result = _assembled([*in_file, *parts], path if content is not None else None, options)
    if launcher:
        result.read_as.insert(0, (shlex.join(launcher), "fit"))
    return result


def _assembled(parts: Iterable[Part], file: str | None, options: Options) -> Translation:
    parts = list(parts)
    values = {part.name: part for part in parts if isinstance(part, Argument)}
    result, first = Translation([]), list[str]()
    for part in parts:
        if isinstance(part, str):
            result.args.append(part)
        elif isinstance(part, Argument) and values[part.name] is not part:
            continue  # given again later
        elif isinstance(part, Kept):
            result.args += part.args
            if part.unknown:
                typed = part.args[0].partition("=")[0]
                result.problems.setdefault(_unknown(typed, options), []).append(typed)
        else:
            outcome = _outcome(part, values, options)
            used = _assigned(outcome, options) if part.in_file else outcome
            (first if used.first or part.in_file else result.args).extend(used.args)
            _note(result, part, used if used.problem else outcome)
            if part.in_file:
                result.origins |= dict.fromkeys(used.args, f"{file}: {part.typed}")
    result.args[:0] = first
    for name in (part.args[0].partition("=")[0] for part in parts if isinstance(part, Kept)):
        if name in options and not options[name].is_flag:
            result.origins.pop(name, None)  # the command line overrides the file
    result.error = _not_training(values) or _error(result, file)
    return result


def _unknown(typed: str, options: Options) -> str:
    effective = (f"--{name}" for name, row in row_by_name().items() if isinstance(row, Ours))
    similar = similar_option(typed, {*options, *(name.replace("_", "-") for name in effective)})
    return f"{_UNKNOWN}. Did you mean {similar}?" if similar else _UNKNOWN


def _note(result: Translation, argument: Argument, outcome: Outcome) -> None:
    """Add what to tell the user about an argument."""
    if outcome.ignored:
        result.ignored.setdefault(outcome.ignored, []).append(argument.typed)
    elif outcome.problem:
        shown = argument.typed if outcome.for_any_value else argument.with_value
        result.wrong |= {outcome.problem} if outcome.is_wrong else set()
        result.problems.setdefault(outcome.problem, []).append(shown)
    elif outcome.args and outcome.args[0] != argument.typed.replace("_", "-"):
        result.read_as.append((argument.with_value, shlex.join(outcome.args)))


def _error(result: Translation, file: str | None) -> UserError | None:
    """One message about all arguments that cannot be used. None if click's own message is enough."""
    problems, n = result.problems, sum(map(len, result.problems.values()))
    if n == 0 or (file is None and all(why.startswith(_UNKNOWN) for why in problems)):
        return None
    listed = [f"{', '.join(typed)}: {why}{'' if why.endswith(('?', '.')) else '.'}" for why, typed in problems.items()]
    if list(problems) == [_NO_VALUE]:
        return UserError(listed[0], path=file, hint=f"Give {'it a value' if n == 1 else 'them values'}.")
    n_wrong = sum(why in result.wrong for why in problems)
    verb = "Correct" if n_wrong == len(problems) else "Correct or remove" if n_wrong else "Remove"
    remedy = f"{PAGE} lists replacements, where they exist." if n_wrong < len(problems) else None
    if n == 1:
        return UserError(f"{listed[0]} {verb} it.", path=file, hint=remedy)
    listing = "".join(f"\n  - {line}" for line in listed)
    return UserError(f"{n} arguments cannot be used:{listing}\n{verb} them.", path=file, hint=remedy)


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
    if prediction and prediction.is_true:
        listing += f"\nTo label text without scores:\n  {_predict_command(values)}"
    return UserError(f"this command line does not train: --do_train is missing or false. To score a model:{listing}")


def _predict_command(values: Mapping[str, Argument]) -> str:
    given = _given(values)
    column = ("--text-column-name", given["text_column_name"]) if "text_column_name" in given else ()
    words = (given.get("model_name_or_path", "MODEL"), _file(given, "test") or "FILE", *column)
    return shlex.join(["tf-tokclf", "predict", *words, "--output", "labelled.jsonl"])


def _given(values: Mapping[str, Argument]) -> dict[str, str]:
    return {name: argument.value for name, argument in values.items() if argument.value}


def _file(given: Mapping[str, str], split: str) -> str | None:
    """The file of a split, if there is one."""
    in_folder = str(Path(given["data_dir"]) / _FILES[split]) if "data_dir" in given else None
    return given.get(f"{split}_file") or in_folder


def _evaluate_command(values: Mapping[str, Argument], split: str, extra: Sequence[str]) -> str:
    given = _given(values)
    file = _file(given, split)
    if file or "dataset_name" not in given:
        data = ["--file", file or "FILE"]
    else:
        names = (name for name in ("dataset_name", "dataset_config_name") if name in given)
        data = ["--split", split, *(word for name in names for word in ("--set", f"data.{name}={given[name]}"))]
    for name in ("text_column_name", "label_column_name"):
        data += [f"--{name.replace('_', '-')}", given[name]] if name in given else []
    return shlex.join(["tf-tokclf", "evaluate", given.get("model_name_or_path", "MODEL"), *data, *extra])


def _outcome(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    """What becomes of an argument. values: all arguments."""
    option = options.get(f"--{argument.name.replace('_', '-')}")
    row: Row = row_by_name().get(argument.name) or Ours((argument.name,))
    is_flag = argument.name in SWITCHES or (
        argument.name not in row_by_name() and option is not None and option.is_flag
    )
    is_truth = argument.value is None or argument.value.lower() in (*TRUE, *FALSE)
    if is_flag and not is_truth and not (isinstance(row, Refused) and _is_off(argument)):
        return Outcome(problem="the value is neither true nor false", is_wrong=True)
    if not isinstance(row, Ours) and option is not None:
        row = Ours((argument.name,))
    if argument.name in _RULES:
        return _RULES[argument.name](argument, values, options)
    if isinstance(row, Ours):
        return _set_by(argument, row, options)
    if isinstance(row, Refused):
        is_used = not _is_off(argument) and not (row.only_with and _is_off(values.get(row.only_with)))
        return Outcome(problem=row.why, for_any_value=True) if is_used else Outcome()
    same = values.get(row.same_as or "")
    accepted = (*row.only, same.key) if same else row.only
    if row.why_not_others and argument.key not in accepted:
        return Outcome(problem=row.why_not_others)
    return Outcome(ignored=row.why)


def _is_off(argument: Argument | None) -> bool:
    """Whether an argument that cannot be used is absent or turned off."""
    if argument is None:
        return True
    # transformers writes <HUB_TOKEN> into files of arguments in place of the token.
    return argument.value is not None and (
        argument.value.lower() in _OFF or re.fullmatch("<[A-Z_]+>", argument.value) is not None
    )


def _set_by(argument: Argument, row: Ours, options: Options) -> Outcome:
    """The outcome for an argument that sets an option or a setting."""
    if argument.value is None and argument.name not in SWITCHES:
        return Outcome(problem=_NO_VALUE)
    if row.setting:
        return Outcome(("--set", f"{row.setting}={argument.value}"))
    name = option_of(argument.name, row)
    option = options[name]
    if option.is_flag:
        return Outcome((name,) if argument.is_true else _turned_off(option))
    assert argument.value is not None
    if argument.key in row.dropped:
        return Outcome(ignored=f"{argument.value} is the default here")
    if argument.key in row.assigned:
        return Outcome(("--set", row.assigned[argument.key]))
    if set(argument.value.split(",")) & set(row.refused):
        return Outcome(problem=row.why)
    value = row.values.get(argument.value, argument.value)
    if isinstance(option.type, click.types.IntParamType) and _is_number(value) and not _is_number(value, int):
        if not float(value).is_integer():
            return Outcome(problem="it must be a whole number", is_wrong=True)
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


def _assigned(outcome: Outcome, options: Options) -> Outcome:
    """The outcome with assignments in place of options of settings, which --set and other options override."""
    try:
        return replace(outcome, args=tuple(_assignments_for(outcome.args, options)))
    except click.BadParameter as error:
        return Outcome(problem=error.message, is_wrong=True)


def _assignments_for(args: Sequence[str], options: Options) -> Iterator[str]:
    """Options of settings as assignments, and others as they are. Raises click.BadParameter for a wrong value."""
    rest = list(args)
    while rest:
        name = rest.pop(0)
        option = options.get(name)
        if isinstance(option, SettingOption) and option.is_flag:
            yield from _assignment(option, option.flag_value)
            continue
        if option is None or option.is_flag or not rest:
            yield name
            continue
        text = rest.pop(0)
        value = option.type.convert(text, option, None)
        yield from _assignment(option, value) if isinstance(option, SettingOption) else (name, text)


def _assignment(option: SettingOption, value: Any) -> tuple[str, str]:
    return "--set", f"{option.setting}={json.dumps(value, ensure_ascii=False)}"


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
    other = values.get("bf16" if argument.name == "fp16" else "fp16")
    return Outcome() if other and other.is_true else Outcome(("--precision", "float32"), first=True)


# Arguments that may name test data.
_TEST_DATA = {"test_file", "dataset_name", "data_dir"}


def _do(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    row = row_by_name()[argument.name]
    assert isinstance(row, Ignored)
    if argument.name == "do_predict" and argument.is_true and not values.keys() & _TEST_DATA:
        return Outcome(ignored="fit scores the test data, if there are any: add --test_file or --test-fraction")
    is_fine = argument.is_true or argument.name != "do_train"
    return Outcome(ignored=row.why) if is_fine else Outcome(problem=row.otherwise)


def _report_to(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    row, option = row_by_name()[argument.name], options["--report-to"]
    assert isinstance(row, Ours)
    assert isinstance(option.type, ChoiceList)
    if argument.value != "all":
        return _set_by(argument, row, options)
    # Each of the other trackers is a package with the name of the tracker.
    installed = [name for name in option.type.choices if name in ("tensorboard", "csv") or find_spec(name)]
    return Outcome(("--report-to", ",".join(installed)))


def _old_model_id(argument: Argument, values: Mapping[str, Argument], options: Options) -> Outcome:
    """The repository of an older version: owner and name are two arguments, and the name is the output folder's."""
    owner, name, folder = (
        values.get(f"{key}") for key in ("push_to_hub_organization", "push_to_hub_model_id", "output_dir")
    )
    if name is not None and argument is not name:
        return Outcome(ignored=f"{name.typed} contains it")
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
