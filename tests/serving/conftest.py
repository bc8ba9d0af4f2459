"""A tiny classifier, and the output of `tf-tokclf predict` for texts."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.killing import KillServer
from tests.serving.running import ServeProcess
from tf_tokclf.cli.main import cli
from tf_tokclf.inference.tagger import Tagger


@pytest.fixture(scope="session")
def tagger(tiny_classifier: Path) -> Tagger:
    return Tagger.load(tiny_classifier)


@pytest.fixture(scope="session")
def predicted(tiny_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[dict[str, Any]]]:
    """The records that `tf-tokclf predict` writes for texts or lists of words."""

    def records(items: list[Any], *options: str) -> list[dict[str, Any]]:
        source = tmp_path_factory.mktemp("predict") / "in.jsonl"
        name = "text" if isinstance(items[0], str) else "tokens"
        source.write_text("".join(json.dumps({name: item}) + "\n" for item in items))
        args = ["predict", str(tiny_classifier), str(source), "--output-format", "jsonl", *options]
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]

    return records


@pytest.fixture(scope="session")
def server(kill_server: KillServer, tiny_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`tf-tokclf serve` in a process of its own, with low limits."""
    options = ["--max-length", "2000", "--max-texts", "20", "--verbose"]
    with ServeProcess(kill_server, tiny_classifier, tmp_path_factory.mktemp("serve"), *options) as process:
        yield process
        # Ctrl-C. Another test uses SIGTERM.
        assert process.stop(signal.SIGINT) == 0
        assert process.log.splitlines()[-1] == "stopped"
