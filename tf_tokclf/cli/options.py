"""Options that several commands share, and the underscore twins of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tf_tokclf.cli.types import Text

if TYPE_CHECKING:
    from tf_tokclf.config.schema import DataConfig, Task

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


# Headings of `--help`, in order, with the sections of settings that stand under them.
HEADINGS = {
    "Run": ("task", "recipe", "output_dir", "overwrite", "sweep_trials"),
    "Data": ("data",),
    "Model": ("model",),
    "Subword tokens and windows": ("alignment",),
    "Training": ("optimizer", "training"),
    "Scoring": ("evaluation",),
    "Publishing": ("hub",),
    "Options": (),
    "Loading and running the model": (),
    "Messages": (),
}


class TwinCommand(click.Command):
    """A command that also accepts `--long_options` for `--long-options`, as run_ner.py spells them. Its help shows
    options under headings, and text is completed to file names."""

    def __init__(self, *args: Any, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        for parameter in self.params:
            if parameter.type is click.STRING:
                parameter.type = Text()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All options, each under its heading."""
        records: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HEADINGS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                records[_heading(parameter)].append(record)
        for heading, rows in records.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with the underscores of known options read as hyphens."""
        known = {name for parameter in self.params for name in parameter.opts + parameter.secondary_opts}
        return super().parse_args(ctx, [_hyphenated(arg, known) for arg in args])


def _hyphenated(arg: str, known: set[str]) -> str:
    """`arg` with hyphens in its option name, where that makes it a known one.

    >>> _hyphenated("--train_file=a_b.conll", {"--train-file"})
    '--train-file=a_b.conll'
    """
    name, equals, value = arg.partition("=")
    hyphenated = name.replace("_", "-")
    return f"{hyphenated}{equals}{value}" if hyphenated in known else arg


class HeadedOption(click.Option):
    """An option that stands under a heading of its own in the help."""

    def __init__(self, *args: Any, heading: str, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        self.heading = heading


def _heading(parameter: click.Parameter) -> str:
    if isinstance(parameter, HeadedOption):
        return parameter.heading
    if isinstance(parameter, SettingOption):
        section = parameter.setting.partition(".")[0]
        return next((heading for heading, sections in HEADINGS.items() if section in sections), "Options")
    return "Messages" if "--help" in parameter.opts else "Options"


def logging_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--verbose and --quiet, which take effect before anything else is imported."""

    def set_up(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        chosen = ctx.ensure_object(dict)
        chosen[parameter.name] = value
        from tf_tokclf.report.terminal import set_up_logging

        set_up_logging(verbose=chosen.get("verbose", False), quiet=chosen.get("quiet", False))

    for option in (
        click.option(
            "--quiet",
            "-q",
            cls=HeadedOption,
            heading="Messages",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=set_up,
            help="Print warnings and errors only.",
        ),
        click.option(
            "--verbose",
            "-v",
            cls=HeadedOption,
            heading="Messages",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=set_up,
            help="Print all messages, including those of libraries.",
        ),
    ):
        function = option(function)
    return function


def setting_options(*options: tuple[str, str, dict[str, Any]]) -> Decorator:
    """Options for settings: (option names separated by '/', the setting's dotted name, click's arguments).

    The command gets the options that were given in `settings`: dotted name -> value.
    """

    def collect(ctx: click.Context, parameter: SettingOption, value: Any) -> None:
        if value is not None:
            ctx.ensure_object(dict).setdefault("settings", {})[parameter.setting] = value

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for names, setting, arguments in reversed(options):
            function = click.option(
                *names.split("/"), cls=SettingOption, setting=setting, expose_value=False, callback=collect, **arguments
            )(function)
        return function

    return decorate


def data_setting_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--set, for commands that read data and train nothing. `given_data` reads it."""
    option = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="data.KEY=VALUE",
        help="Change any setting of the data, as in fit. Can be repeated. Options override it.",
    )
    return option(function)


def given_data(
    ctx: click.Context, assignments: Iterable[str], options: Mapping[str, str]
) -> tuple[DataConfig, Task | None]:
    """The settings of `data` that the user gave by --set and by options, without any defaults; and the task, if given.

    options: the setting for each parameter of the command that sets one.
    """
    from tf_tokclf.config.loading import load_config, nearest_hint
    from tf_tokclf.errors import UserError

    for assignment in assignments:
        key = assignment.partition("=")[0].strip()
        if key.partition(".")[0] not in ("data", "task"):
            known = nearest_hint(f"data.{key.rpartition('.')[2]}")
            raise UserError(f"--set {key}: this command accepts only settings of the data.", hint=known)
    settings = {
        f"data.{setting}": ctx.params[name]
        for name, setting in options.items()
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    config = load_config(assignments=assignments, options=settings)
    return config.data, config.task if "task" in config.model_fields_set else None


class SettingOption(click.Option):
    """An option that sets `setting`."""

    def __init__(self, *args: Any, setting: str, **arguments: Any) -> None:
        arguments.setdefault("default", None)
        super().__init__(*args, **arguments)
        self.setting = setting


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How a model is loaded and run: the keyword arguments of `Tagger.load`."""
    option = partial(click.option, cls=HeadedOption, heading="Loading and running the model")
    for decorate in (
        option("--model-revision", "revision", help="Branch, tag or commit on the Hub."),
        option(
            "--precision",
            type=click.Choice(["auto", "float32", "mixed_float16", "mixed_bfloat16"]),
            default="float32",
            show_default=True,
            help="Floating-point precision of the computation.",
        ),
        option(
            "--per-device-eval-batch-size",
            "batch_size",
            type=click.IntRange(min=1),
            help="Most windows per forward pass.  [default: few on CPUs, 32 on GPUs]",
        ),
        option(
            "--decoding",
            type=click.Choice(["argmax", "viterbi"]),
            help="argmax: the best label of each word; viterbi: the best sequence that the scheme allows.  "
            "[default: as in training]",
        ),
        option(
            "--aggregation",
            type=click.Choice(["first", "average", "max"]),
            default="first",
            show_default=True,
            help="How the scores of a word's subword tokens become the word's score.",
        ),
        option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the model."),
    ):
        function = decorate(function)
    return function
