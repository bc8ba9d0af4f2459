"""The options --require and --junit, with which a command fails if scores do not meet requirements."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    from tf_tokclf.scoring.requirements import Checked, Requirement

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])


def requirement_options(example: str) -> Callable[[Function], Function]:
    """The two options. example: a requirement, for the help."""

    def decorate(command: Function) -> Function:
        for option in (
            click.option(
                "--junit",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Write the requirements to this file as JUnit XML, for CI systems.",
            ),
            click.option(
                "--require",
                "required",
                metavar="NAME>=NUMBER",
                multiple=True,
                help=f"Exit with code 1 unless this holds, such as '{example}'. Names are those in the JSON, joined by "
                "dots. Scores are fractions. Can be repeated.",
            ),
        ):
            command = option(command)
        return command

    return decorate


@dataclass(frozen=True)
class Gate:
    """The requirements of a command, and the file for JUnit XML."""

    requirements: tuple[Requirement, ...]
    junit: Path | None

    @classmethod
    def of(cls, required: Sequence[str], junit: Path | None) -> Gate:
        """From the options. Raises UserError for a requirement that cannot be read."""
        from tf_tokclf.scoring.requirements import parse_requirements

        if junit and not required:
            raise click.UsageError("--junit needs --require.")
        return cls(parse_requirements(required), junit)

    def check(self, values: Mapping[str, Mapping[str, float | None]]) -> GateResult:
        """Each requirement with the values that were found, which are given by subject."""
        from tf_tokclf.scoring.requirements import check_requirements

        try:
            return GateResult(self, check_requirements(self.requirements, values))
        except UserError as error:
            return GateResult(self, [], error)


@dataclass(frozen=True)
class GateResult:
    """The requirements with the values that were found. error: set if a requirement names a value that does not exist.

    The command prints the scores, whether or not requirements are met, and then calls `finish`.
    """

    gate: Gate
    checked: Sequence[Checked]
    error: UserError | None = None

    def to_json(self) -> dict[str, Any]:
        """What the JSON of the result contains in addition."""
        return {"requirements": [one.to_json() for one in self.checked]} if self.checked else {}

    def finish(self, *, suite: str, about: str) -> None:
        """Write the JUnit file. If requirements are not met, print them and exit with code 1."""
        if self.error:
            raise self.error
        if self.gate.junit:
            from tf_tokclf.files import open_output
            from tf_tokclf.report.junit import junit_xml

            with open_output(self.gate.junit) as file:
                file.write(junit_xml(self.checked, suite=suite, about=about))
        failed = [one for one in self.checked if not one.is_met]
        if failed:
            from tf_tokclf.report.score_tables import failed_requirements
            from tf_tokclf.report.terminal import stderr_console

            stderr_console().print(failed_requirements(failed, n_all=len(self.checked)))
            sys.exit(1)
        if self.checked:
            log.info("all requirements are met: %s", ", ".join(map(str, self.gate.requirements)))
