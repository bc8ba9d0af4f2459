"""What the wheel contains, and the image of the Dockerfile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

from tests.documentation import check_options
from tf_tokclf.optional_packages import EXTRAS_OF_RUNTIME, FULL, RUNTIME

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
SERVICE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["ner"]


def instruction(name: str) -> str:
    """The arguments of the last instruction of that name."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)[-1]


def image_command() -> list[str]:
    """The command that a container runs."""
    return [*json.loads(instruction("ENTRYPOINT")), *json.loads(instruction("CMD"))]


def test_the_distribution_without_tensorflow_has_the_same_package_and_bounds():
    main, runtime = (configuration(ROOT / folder / "setup.cfg") for folder in (".", "runtime"))
    assert (ROOT / "runtime" / "tf_tokclf").resolve() == ROOT / "tf_tokclf"
    for section in ("options.packages.find", "options.package_data", "options.entry_points"):
        assert dict(runtime[section]) == dict(main[section])
    assert runtime["metadata"]["version"] == main["metadata"]["version"]
    assert main["metadata"]["name"] == FULL
    assert runtime["metadata"]["name"] == RUNTIME
    extras = runtime["options.extras_require"]
    assert set(extras) == set(EXTRAS_OF_RUNTIME)
    assert lines(extras["serve"]) == lines(main["options.extras_require"]["serve"])
    known = {*lines(main["options"]["install_requires"]), *lines(main["options.extras_require"]["onnx"])}
    assert lines(runtime["options"]["install_requires"]) | lines(extras["arrow"]) <= known


def configuration(path: Path) -> ConfigParser:
    """A file setup.cfg."""
    setup = ConfigParser()
    setup.read(path, encoding="utf-8")
    return setup


def lines(text: str) -> set[str]:
    """The requirements in a list, without comments."""
    return {line for line in text.splitlines() if line and not line.startswith("#")}


def test_the_wheel_contains_every_file_of_the_package():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert setup["options"]["packages"] == "find_namespace:"
    package = ROOT / "tf_tokclf"
    tracked = subprocess.run(["git", "ls-files", "tf_tokclf"], cwd=ROOT, capture_output=True, text=True, check=True)
    data = {ROOT / name for name in tracked.stdout.splitlines() if not name.endswith(".py")}
    included = {
        path for pattern in setup["options.package_data"]["tf_tokclf"].split() for path in package.glob(pattern)
    }
    assert len(data) > 15
    assert data <= included


@pytest.mark.parametrize("command", [image_command(), ["tf-tokclf", *SERVICE["command"]]], ids=["image", "compose"])
def test_the_container_starts_the_server_with_valid_options(command: list[str]):
    assert command[:3] == ["tf-tokclf", "serve", "/model"]
    check_options(tuple(command))
    port = command[command.index("--port") + 1]
    assert instruction("EXPOSE") == port
    assert f"http://127.0.0.1:{port}/health" in instruction("HEALTHCHECK")
    assert SERVICE["ports"] == [f"127.0.0.1:{port}:{port}"]
    # Otherwise the server refuses to listen on all addresses.
    assert "--allowed-host" in command


def test_the_container_has_no_privileges_and_a_read_only_model():
    assert int(instruction("USER")) > 0
    (volume,) = SERVICE["volumes"]
    assert (volume["target"], volume["read_only"], SERVICE["read_only"]) == ("/model", True, True)
    assert SERVICE["cap_drop"] == ["ALL"]


def test_what_the_image_copies_is_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    copied = {
        source for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]
    }
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_lead_to_a_server(tiny_classifier: Path):
    script = [sys.executable, ROOT / "scripts" / "dev" / "run_dockerfile", tiny_classifier]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["predictions"][0]["text"] == "Ada Lovelace lived in London"
