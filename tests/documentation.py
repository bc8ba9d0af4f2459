"""Find the commands in the documentation, parse them like a shell, and run them in this process."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import click
from click.testing import CliRunner

from tests.killing import KillServer
from tests.requirements import need_program
from tests.waiting import LIMIT_S
from tf_tokclf.cli.fit import FitCommand
from tf_tokclf.cli.main import cli

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *(page for page in (ROOT / "CONTRIBUTING.md",) if page.is_file()),
    *sorted((ROOT / "docs").rglob("*.md")),
]

# Commands of others that stand in the documentation, and why no test runs them.
NOT_RUN = {
    "scripts/": "minutes, and the package index: continuous integration runs them",
    "git": "needs the network",
    "python -m pip": "needs the package index",
    "python3 -m venv": "makes an environment, which scripts/environment does in every test run",
    "python3.11 -m venv": "makes an environment, which scripts/environment does in every test run",
    "python -m build": "needs the package index; tests/test_packaging.py checks what it contains",
    "python scripts/smoke_test": "continuous integration runs it on other systems",
    "uv ": "needs the package index",
    "pipx": "needs the package index",
    "conda": "another package manager",
    "docker": "scripts/dev/run_dockerfile runs its steps",
    "MODEL=": "scripts/dev/run_dockerfile runs the steps of docker",
    "tensorboard": "serves until it is stopped",
    "jupyter": "an extra of its own",
    "export": "of the shell",
    "source": "of the shell",
    "cd": "of the shell",
    "cp": "of the shell",
    "cat": "of the shell",
    "ln": "of the shell",
    "mkdir": "of the shell",
    "curl": "needs the network, or a server, which the README's test starts",
    "hf": "needs the network",
    "seq": "of the shell",
    "xargs": "of the shell",
    "ssh": "needs other machines",
    "TF_CONFIG=": "needs other machines",
    "HF_HUB_OFFLINE=": "needs a cache that the Hub has filled",
    "CUDA_VISIBLE_DEVICES=": "needs GPUs",
    "eval": "of the shell",
    "for": "of the shell",
    "do": "of the shell",
    "done": "of the shell",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. line: the line of its first line, from 1."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Pipeline:
    """A line of a block: commands connected by pipes, as lists of words, and the file for the output of the last."""

    commands: tuple[tuple[str, ...], ...]
    output: str | None = None


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in one of `languages`."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^ *```(\w+)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(page, text[: match.start()].count("\n") + 2, match[1], match[2])
        for match in found
        if match[1] in languages
    ]


def pipelines(block: Block) -> Iterator[Pipeline]:
    """The lines of a block, with continued lines joined and without comments.

    >>> list(pipelines(Block(ROOT, 1, "bash", 'echo "a b" | tf-tokclf predict m > out  # so')))[0].output
    'out'
    """
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|>;")
        lexer.whitespace_split = True
        lexer.commenters = "#" if "config.schema" not in line else ""
        words = list(lexer)
        if not words:
            continue
        output = None
        if ">" in words:
            output = words[words.index(">") + 1]
            words = words[: words.index(">")]
        commands: list[list[str]] = [[]]
        for word in words:
            if word in ("|", ";"):
                commands.append([])
            else:
                commands[-1].append(word)
        yield Pipeline(tuple(tuple(command) for command in commands if command), output)


def asks_a_server(command: tuple[str, ...]) -> bool:
    """Whether a command sends a request to `tf-tokclf serve` on this machine."""
    return command[0] == "curl" and "http://127.0.0.1:" in command[-1]


def is_ours(command: tuple[str, ...]) -> bool:
    """Whether a command is one of this project's."""
    return command[0] == "tf-tokclf"


def reason_not_to_run(command: tuple[str, ...]) -> str | None:
    """Why a command of another program is not run; None if no reason is known."""
    text = " ".join(command)
    return next((reason for start, reason in NOT_RUN.items() if text.startswith(start)), None)


def check_options(words: tuple[str, ...]) -> None:
    """Parse `tf-tokclf ...`: option names, numbers of arguments, and values of options that have choices.

    Raises click.UsageError for what the command line would refuse. Files need not exist.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="tf-tokclf", **cli.context_settings)
    left = list(words[1:])
    while isinstance(command, click.Group):
        if not left or left[0].startswith("-"):
            return
        _, found, left = command.resolve_command(context, left)
        assert found is not None
        command, context = found, click.Context(found, info_name=found.name, parent=context, obj={})
    if set(left) & {"--help", "-h"}:
        return
    if isinstance(command, FitCommand):
        translation = command.translation(left)
        assert translation.error is None
        left = translation.args
    hyphenated = [word.replace("_", "-") if word.startswith("--") and "=" not in word else word for word in left]
    values, rest, _ = command.make_parser(context).parse_args(hyphenated)
    if rest:
        raise click.UsageError(f"unexpected {rest}")
    for parameter in command.get_params(context):
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)


def run_ours(pipeline: Pipeline, *, replacements: Mapping[str, str], into: Path) -> None:
    """Run a pipeline of `echo` and `tf-tokclf` in this process; skip pipelines with other programs."""
    if not all(is_ours(command) or command[0] == "echo" for command in pipeline.commands):
        return
    text = ""
    for command in pipeline.commands:
        if command[0] == "echo":
            text = " ".join(command[1:]) + "\n"
            continue
        words = [_replaced(word, replacements) for word in command[1:]]
        result = CliRunner().invoke(cli, words, input=text, catch_exceptions=False)
        assert result.exit_code == 0, f"{shlex.join(command)}: exit code {result.exit_code}\n{result.output}"
        text = result.stdout
    if pipeline.output:
        (into / pipeline.output).write_text(text, encoding="utf-8")


class Servers:
    """Context manager: the servers that the commands of a page start, each on a free port."""

    def __init__(self, kill_server: KillServer, folder: Path) -> None:
        self._kill_server = kill_server
        self._folder = folder
        self._running = ExitStack()
        self._port_by_address: dict[str, str] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def start(self, command: tuple[str, ...]) -> None:
        """Run `tf-tokclf serve MODEL --port PORT ...` in a process, and wait until it answers."""
        from tests.serving.running import ServeProcess

        words = list(command[2:])
        at = words.index("--port")
        _, port = words.pop(at), words.pop(at)
        process = ServeProcess(self._kill_server, Path(words[0]), self._folder, *words[1:])
        server = self._running.enter_context(process)
        self._port_by_address[f"127.0.0.1:{port}"] = f"127.0.0.1:{server.port}"

    def ask(self, command: tuple[str, ...]) -> str:
        """Run a command that sends a request to one of the servers; return its output."""
        need_program("curl", remedy="apt-get install curl")
        words = [_replaced(word, self._port_by_address) for word in command]
        return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout


def _replaced(word: str, replacements: Mapping[str, str]) -> str:
    for old, new in replacements.items():
        word = word.replace(old, new)
    return word
