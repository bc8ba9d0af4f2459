"""How exceptions are shown in notebooks. How commands show them is tested with the commands."""

from __future__ import annotations

import re

import pytest

from tf_tokclf.errors import JobError, Stopped, UserError


@pytest.mark.parametrize(
    "error",
    [UserError("no such column.", hint="Name one."), JobError("no network."), Stopped("stopped.", exit_code=130)],
)
def test_a_notebook_shows_the_message_alone(error: BaseException):
    (line,) = error._render_traceback_()
    assert re.sub("\x1b\\[[0-9;]*m", "", line) == f"Error: {error}"


def test_tokens_and_control_characters_are_not_shown():
    (line,) = UserError("hf_abcdefghijkl is wrong\x1b[2J")._render_traceback_()
    assert line.endswith("*** is wrong�[2J")
