"""tf-tokclf serve: the address that it prints, and what it refuses."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.killing import KillServer
from tests.serving.running import ServeProcess, ask
from tests.waiting import LIMIT_S
from tf_tokclf.cli.main import cli


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(cli, ["serve", str(tmp_path / "no-model"), "--port", str(port)])
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: port {port} of 127.0.0.1 is already in use. Choose another with --port; 0 selects a free one.\n"
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["./nothing"], "there is no model folder ./nothing"),
        (["x", "--host", "no.such.host.invalid"], "unknown host 'no.such.host.invalid'"),
        (["x", "--host", "192.0.2.1"], "cannot listen on port 0 of 192.0.2.1"),
        (["x", "--max-texts", "2000"], "Raise --max-waiting-texts or lower --max-texts."),
        (["x", "--host", "0.0.0.0"], "Add --allowed-host NAME for each of them, or --allowed-host '*' to accept any"),
        (["x", "--host", "::"], "a server at :: needs the host names that clients use to reach it."),
        (["x", "--allowed-host", "http://ner.example.org"], "Give only the name, without scheme, port and path"),
        (["x", "--allowed-host", "ner.example.org:80"], "Give only the name, without scheme, port and path"),
        (["x", "--allowed-host", ""], "--allowed-host '' is not a host name."),
        (["x", "--max-connections", "0"], "--max-connections"),
        (["x", "--headers-timeout-s", "nan"], "--headers-timeout-s"),
        (["x", "--keep-alive-s", "0"], "--keep-alive-s"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(args: list[str], message: str):
    result = CliRunner().invoke(cli, ["serve", "--port", "0", *args])
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_one_message(missing: str):
    code = (
        f"import sys; sys.modules['{missing}'] = None\n"
        "from tf_tokclf.cli.main import cli\ncli(['serve', 'x', '--port', '0'], prog_name='tf-tokclf')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: serving needs {missing}, which is not installed. "
        "Install it: python -m pip install 'tf-tokclf[serve]'\n"
    )


def loopback() -> str:
    """The IPv6 address of this machine, or the IPv4 address if there is no IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return "127.0.0.1"
    return "::1"


def test_the_address_to_open_is_printed(tiny_classifier: Path, tmp_path: Path):
    host = loopback()
    with ServeProcess(None, tiny_classifier, tmp_path, "--host", host) as process:
        assert process.url == f"http://{f'[{host}]' if ':' in host else host}:{process.port}/"
        assert process.port > 0
        for address in (process.url, f"{process.url}docs"):
            with urllib.request.urlopen(address, timeout=LIMIT_S) as answer:
                assert answer.status == 200
        assert "anyone who can reach" not in process.log
        assert ask(process.port, "/health", host="ner.example.org", address=host).status == 400


def test_the_address_to_open_is_printed_for_a_server_on_all_addresses(
    kill_server: KillServer, tiny_classifier: Path, tmp_path: Path
):
    options = ("--host", "0.0.0.0", "--allowed-host", "ner.example.org", "--allowed-host", "ner")
    with ServeProcess(kill_server, tiny_classifier, tmp_path, *options) as process:
        assert process.url == f"http://127.0.0.1:{process.port}/"
        assert "anyone who can reach 0.0.0.0 can use the server" in process.log
        assert ask(process.port, "/health", host="ner.example.org").status == 200
        assert ask(process.port, "/health", host="example.org").status == 400
