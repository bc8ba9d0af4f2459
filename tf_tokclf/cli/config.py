"""tf-tokclf config: check, fill, diff and schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tf_tokclf.cli.options import UnderscoreCommand, set_option
from tf_tokclf.control_characters import echo

if TYPE_CHECKING:
    from tf_tokclf.config.schema import Config

_OUTPUT = click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout."
)
_FORCE = click.option("--force", is_flag=True, help="Replace the file named by --output.")


@click.group("config")
def config_command() -> None:
    """Check, complete and compare configurations.

    CONFIG is a YAML file, the name of a configuration that comes with tf-tokclf, or the folder of a run.

    \b
    tf-tokclf config check mine.yaml
    tf-tokclf config diff runs/first runs/second
    """


@config_command.command("check", cls=UnderscoreCommand)
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True)
@set_option()
def check_command(configs: tuple[str, ...], assignments: tuple[str, ...]) -> None:
    """Report all problems in configurations.

    Data and model are not read. Use fit --dry-run to check them too.

    \b
    tf-tokclf config check mine.yaml
    tf-tokclf config check mine.yaml --set optimizer.learning_rate=3e-5
    """
    from tf_tokclf.config.sweep import Sweep
    from tf_tokclf.errors import UserError
    from tf_tokclf.report.next_steps import after_config, show_next

    problems = []
    for name in configs:
        try:
            config = _loaded(name, assignments)
            if config.sweep:
                Sweep.of(config)
        except UserError as error:
            problems.append(str(error))
        else:
            echo(f"{name}: no problems", err=True)
    if problems:
        raise UserError("\n".join(problems))
    if len(configs) == 1:
        show_next(after_config(configs[0], assignments))


@config_command.command("fill", cls=UnderscoreCommand)
@click.argument("config")
@set_option()
@_OUTPUT
@_FORCE
def fill_command(config: str, assignments: tuple[str, ...], output: Path | None, force: bool) -> None:
    """Print a configuration with every setting. Settings that the recipe chooses are commented out.

    \b
    tf-tokclf config fill mine.yaml -o complete.yaml
    """
    from tf_tokclf.config.flat_settings import setting_values
    from tf_tokclf.config.json_schema import schema_line
    from tf_tokclf.config.starter import Amount, starter_yaml
    from tf_tokclf.report.next_steps import after_config, show_next

    loaded = _loaded(config, assignments)
    values = {name: value for name, value in setting_values(loaded).items() if name not in loaded.left_to_recipe}
    _write(starter_yaml(values, Amount.FULL, heading=schema_line()), output, force=force, source=_file_of(config))
    if output is not None:
        show_next(after_config(output))


@config_command.command("diff", cls=UnderscoreCommand)
@click.argument("a", metavar="CONFIG")
@click.argument("b", metavar="[OTHER]", required=False)
def diff_command(a: str, b: str | None) -> None:
    """Show how two configurations differ.

    Without OTHER, CONFIG is compared with the defaults.

    \b
    tf-tokclf config diff mine.yaml
    tf-tokclf config diff runs/first runs/second
    """
    from tf_tokclf.config.flat_settings import differences, values_or_auto
    from tf_tokclf.config.schema import Config
    from tf_tokclf.config.yaml_text import yaml_line
    from tf_tokclf.report.next_steps import after_config_diff, show_next

    first = Config() if b is None else _loaded(a, ())
    second = _loaded(a if b is None else b, ())
    found = differences(values_or_auto(first), values_or_auto(second))
    for name, (old, new) in found.items():
        echo(f"{name}: {yaml_line(old)} -> {yaml_line(new)}")
    if not found:
        echo("No settings differ.", err=True)
    if b is not None:
        show_next(after_config_diff(a, b))


@config_command.command("schema", cls=UnderscoreCommand)
@_OUTPUT
@_FORCE
def schema_command(output: Path | None, force: bool) -> None:
    """Print the JSON Schema for editors.

    Files written by `init` and `config fill` already refer to it. In other files, add a comment for the YAML language
    server:

    \b
    # yaml-language-server: $schema=config.schema.json
    """
    from tf_tokclf.config.json_schema import schema_text

    _write(schema_text(), output, force=force)


def _loaded(config: str, assignments: tuple[str, ...]) -> Config:
    from tf_tokclf.config.loading import load_config

    return load_config(_file_of(config), assignments=assignments)


def _file_of(config: str) -> str | Path:
    """The file that CONFIG names. For the folder of a run, the configuration of the run."""
    from tf_tokclf.run_dir import RunDir

    own = RunDir(Path(config)).config
    return own if own.is_file() else config


def _write(text: str, output: Path | None, *, force: bool, source: str | Path | None = None) -> None:
    from tf_tokclf.files import check_output, open_output

    if output is None:
        echo(text, nl=False)
        return
    check_output(output, inputs=[Path(source)] if source else [], force=force)
    with open_output(output) as file:
        file.write(text)
