"""The arguments of transformers' run_ner.py in a command line, or in a file of arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.run_ner_flags import LISTS, SECRETS, SWITCHES, row_by_name
from tf_tokclf.config.shipped_schema import described_settings
from tf_tokclf.json_text import parse_json

# The spellings of truth values that transformers' HfArgumentParser accepts.
TRUE, FALSE = ("yes", "true", "t", "y", "1"), ("no", "false", "f", "n", "0")
_SCRIPT = re.compile(r"(?:^|[/\\])run_(?:tf_)?ner(?:_\w+)?\.py$")
# Programs that start scripts.
_LAUNCHER = re.compile(
    r"(?:^|[/\\])(?:python[\d.]*w?|pypy[\d.]*|torchrun|accelerate|deepspeed|mpirun|mpiexec|horovodrun|srun|env|uv|poetry"
    r"|pipenv|conda|nohup|time|ipython)(?:\.exe)?$|^[A-Z]\w*="
)
_CONFIG = re.compile(r"\.(?:json|ya?ml)$")
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
        return self.value is None or self.value.lower() not in FALSE

    @property
    def key(self) -> str:
        """The value in the spelling of the table: 0 for 0.0, and true and false for all spellings of a switch."""
        value = "true" if self.value is None else self.value
        if self.name in SWITCHES:
            return str(self.is_true).lower()
        try:
            return f"{float(value):g}"
        except ValueError:
            return value.lower() if value.lower() in (*TRUE, *FALSE) else value

    @property
    def with_value(self) -> str:
        """The argument with its value, unless that is secret or part of the name, as in --no_NAME."""
        is_negated = self.typed.removeprefix("--").replace("-", "_") != self.name
        if self.value is None or is_negated or self.name in SECRETS:
            return self.typed
        shown = self.value if len(self.value) <= _LONGEST_SHOWN else f"{self.value[:_LONGEST_SHOWN]}..."
        return f"{self.typed} {shown}"


@dataclass(frozen=True)
class Kept:
    """Arguments of the command line that stay as they are. unknown: whether no command has them."""

    args: tuple[str, ...]
    unknown: bool = False


# Words are text.
Part = str | Argument | Kept


def without_script(parts: list[Part]) -> tuple[list[Part], list[str]]:
    """The parts around the launcher, and its words: `python run_ner.py`, or another launcher.

    The launcher begins at the first word that is neither an option nor a file as CONFIG, and ends with the name of the
    script. What stands before it was written for `fit`.
    """
    at = next((n for n, part in enumerate(parts) if isinstance(part, str) and _SCRIPT.search(part)), None)
    if at is None:
        return parts, []
    words_before = ((n, part) for n, part in enumerate(parts[:at]) if isinstance(part, str))
    start = next((n for n, part in words_before if not (part.startswith("-") or _CONFIG.search(part))), at)
    words = (_words(part) for part in parts[start : at + 1])
    return parts[:start] + parts[at + 1 :], [word for some in words for word in some]


def _words(part: Part) -> Sequence[str]:
    if isinstance(part, Argument):
        return [part.typed]  # without its value, which may be secret
    return part.args if isinstance(part, Kept) else [part]


def parts_of(args: Sequence[str], options: Options, *, in_file: bool = False) -> Iterator[Part]:
    """The arguments of run_ner.py in a command line, and everything else: words as text, options as `Kept`.

    in_file: whether they come from a file of arguments. Then all known options become `Argument`.
    """
    at = 0
    while at < len(args):
        word, after = args[at], args[at + 1 :]
        if word == "--":
            yield Kept(tuple(args[at:]))
            return
        part, n_values = _part(word, after, options, in_file) if word.startswith("--") else (word, 0)
        yield part
        at += 1 + n_values


def _part(word: str, after: Sequence[str], options: Options, in_file: bool) -> tuple[Part, int]:
    """What an argument that begins with two hyphens is, and how many of the arguments after it are its values."""
    typed, equals, value = word.partition("=")
    name = typed.removeprefix("--").replace("-", "_")
    option = options.get(f"--{name.replace('_', '-')}")
    is_negated = name.startswith("no_") and name.removeprefix("no_") in SWITCHES
    if name not in row_by_name() and is_negated and option is None and not equals:
        return Argument(name.removeprefix("no_"), typed, "false", in_file), 0
    if name not in row_by_name() and not (in_file and option):
        n_values = 0 if option is None or option.is_flag or equals else min(1, len(after))
        return Kept((_hyphenated(word, option), *after[:n_values]), unknown=option is None), n_values
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
        return int(bool(after) and after[0].lower() in (*TRUE, *FALSE))
    n_words = next(
        (n for n, word in enumerate(after) if word.startswith("--") or word in ("-q", "-v", "-h")), len(after)
    )
    if name in LISTS:
        has_script = any(map(_SCRIPT.search, after))
        ends = (n for n, word in enumerate(after[:n_words]) if _ends_list(word, is_first=n == 0, has_script=has_script))
        return next(ends, n_words)
    # click takes whatever comes next as the value of an option of ours.
    return min(1, len(after) if option is not None and not option.is_flag else n_words)


def _ends_list(word: str, *, is_first: bool, has_script: bool) -> bool:
    """Whether `word` ends the values of an argument with any number of them: it begins the launcher, or is CONFIG.

    is_first: whether it would be the first value. has_script: whether the name of the script follows.
    """
    is_launcher = _SCRIPT.search(word) or (has_script and _LAUNCHER.search(word))
    return bool(is_launcher or (not is_first and (_CONFIG.search(word) or Path(word).exists())))


def arguments_file(path: str) -> dict[str, Any] | None:
    """The content of a file of arguments of run_ner.py. None if it is something else, such as a configuration."""
    file = Path(path)
    try:
        if file.suffix != ".json" or file.stat().st_size > _LONGEST_FILE:
            return None
        content = parse_json(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    ours = {name.partition(".")[0] for name in described_settings()}
    is_theirs = any(name in row_by_name() and name not in ours for name in content)
    is_ours = any(name in ours and isinstance(value, dict) for name, value in content.items())
    return content if is_theirs and not is_ours else None


def as_command_line(content: Mapping[str, Any]) -> Iterator[str]:
    """The command line for a file of arguments. null is the default of all arguments that can be null.

    >>> list(as_command_line({"seeds": [1, 2], "model_name_or_path": "m", "fp16": None}))
    ['--seeds=1,2', '--model_name_or_path=m']
    """
    for name, value in content.items():
        if isinstance(value, list) and value and (name in LISTS or all(type(one) is int for one in value)):
            yield f"--{name}={','.join(map(str, value))}"
        elif value is not None and not name.startswith("_"):
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"--{name}={'' if value == [] else text}"
