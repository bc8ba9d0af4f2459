"""Warnings of the library in a Python process of its own, where logging is configured in several ways."""

from __future__ import annotations

import subprocess
import sys

import pytest

WARN = "logging.getLogger('tf_tokclf.data.splits').warning('two %s', 'files'); "


def printed(code: str) -> list[str]:
    code = f"import logging, sys, tf_tokclf; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


@pytest.mark.parametrize(
    "before", ["", "logging.warning('other'); ", "logging.getLogger('other').addHandler(logging.StreamHandler()); "]
)
def test_a_warning_reads_as_on_the_command_line(before: str):
    lines = printed(before + WARN + WARN + "logging.getLogger('tf_tokclf.x').info('hidden')")
    assert [line for line in lines if "other" not in line] == ["Warning: two files"] * 2


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("logging.basicConfig(format='%(name)s says %(message)s')", "tf_tokclf.data.splits says two files"),
        ("logging.basicConfig(level=logging.INFO)", "WARNING:tf_tokclf.data.splits:two files"),
        ("logging.basicConfig(stream=sys.stdout)", "WARNING:tf_tokclf.data.splits:two files"),
        ("logging.getLogger('tf_tokclf').addHandler(logging.StreamHandler())", "two files"),
    ],
)
def test_the_configuration_of_a_program_is_respected(configuration: str, expected: str):
    assert printed(f"{configuration}; {WARN}") == [expected]
    # Also if there was a warning before it was configured.
    again = f"{WARN} logging.root.handlers.clear(); {configuration}; {WARN}"
    assert sorted(printed(again)) == sorted(["Warning: two files", expected])


def test_secrets_and_control_characters_are_not_printed():
    (line,) = printed(r"logging.getLogger('tf_tokclf.x').error('\x1b[1m hf_abcdefghijklmnop')")
    assert line.startswith("Error: ")
    assert "\x1b" not in line
    assert "hf_a" not in line
