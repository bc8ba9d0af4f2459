"""Options that several commands share, and the class of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.setting_options import Decorator, HeadedOption, given_settings, setting_headings, setting_parameter
from tf_tokclf.cli.similar_options import similar_option
from tf_tokclf.cli.types import Text
from tf_tokclf.engine_names import ENGINES, ONNX_PRECISIONS, TENSORFLOW_PRECISIONS
from tf_tokclf.errors import UserError

if TYPE_CHECKING:
    from tf_tokclf.config.schema import DataConfig, Task

# Headings in `--help` after those of the settings, in order.
_OTHER_HEADINGS = ("Options", "Loading and running the model", "Messages")

# The arguments of the command in the context's `meta`.
_ARGUMENTS = "tf_tokclf.arguments"


class UnderscoreCommand(click.Command):
    """A command that also accepts options with underscores, as in run_ner.py: `--train_file` for `--train-file`.

    Its help groups options under headings, and shells complete text to file names.
    """

    def __init__(self, *args: Any, **arguments: Any) -> None:
        super().__init__(*args, **arguments)
        for parameter in self.params:
            if parameter.type is click.STRING:
                parameter.type = Text()

    def options_by_heading(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """The options that are not hidden, under the headings of the help in their order."""
        options: dict[str, list[click.Option]] = {heading: [] for heading in (*setting_headings(), *_OTHER_HEADINGS)}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and not parameter.hidden:
                options[_heading(parameter)].append(parameter)
        return {heading: found for heading, found in options.items() if found}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All options, each under its heading."""
        by_heading = self.options_by_heading(ctx)
        if len(by_heading.get("Messages", ())) == 1:  # --help alone needs no heading of its own
            by_heading["Options"] = by_heading.get("Options", []) + by_heading.pop("Messages")
        for heading, options in by_heading.items():
            with formatter.section(heading):
                formatter.write_dl([record for option in options if (record := option.get_help_record(ctx))])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, after replacing underscores in known options by hyphens."""
        known = {name for parameter in self.params for name in parameter.opts + parameter.secondary_opts}
        hyphenated = [_hyphenated(arg, known) for arg in args]
        remember_arguments(ctx, hyphenated)
        try:
            return super().parse_args(ctx, hyphenated)
        except click.NoSuchOption as error:
            # click also suggests options with a similar name and another meaning.
            similar = similar_option(error.option_name, known)
            message = click.NoSuchOption(error.option_name).message
            hint = f" Did you mean {similar}?" if similar else ""
            raise click.NoSuchOption(error.option_name, f"{message}{hint}", ctx=ctx) from None


def remember_arguments(ctx: click.Context, args: Iterable[str]) -> None:
    """Make `arguments_without` return these arguments, if the command parsed others in their place."""
    ctx.meta[_ARGUMENTS] = tuple(args)


def arguments_without(ctx: click.Context, *names: str) -> list[str]:
    """The arguments of the command as the user typed them, without the options whose parameters have these names."""
    left_out = {
        option: isinstance(parameter, click.Option) and parameter.is_flag
        for parameter in ctx.command.params
        if parameter.name in names
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    kept, words = [], iter(ctx.meta.get(_ARGUMENTS, ()))
    for word in words:
        name = word.partition("=")[0].replace("_", "-") if word.startswith("--") else word[:2]
        if not (word.startswith("-") and name in left_out):
            kept.append(word)
        elif "=" not in word and len(word) == len(name) and not left_out[name]:
            next(words, None)
    return kept


def _hyphenated(arg: str, known: set[str]) -> str:
    """`arg` with hyphens in the name of its option, if the option is known.

    >>> _hyphenated("--train_file=a_b.conll", {"--train-file"})
    '--train-file=a_b.conll'
    """
    name, equals, value = arg.partition("=")
    hyphenated = name.replace("_", "-")
    return f"{hyphenated}{equals}{value}" if hyphenated in known else arg


def _heading(parameter: click.Parameter) -> str:
    if isinstance(parameter, HeadedOption):
        return parameter.heading
    return "Messages" if "--help" in parameter.opts else "Options"


def logging_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--verbose and --quiet. They take effect before anything else is imported."""

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
            help="Print results, warnings and errors only.",
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


def set_option(*, heading: str = "Options") -> Decorator:
    """--set, for commands that accept any setting."""
    return click.option(
        "--set",
        "assignments",
        cls=HeadedOption,
        heading=heading,
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        help="Change any setting. Can be repeated.",
    )


def data_set_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--set, for commands that read data but do not train. `given_data` reads its values."""
    option = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="data.KEY=VALUE",
        help="Change any setting of the data, as in fit. Can be repeated. Explicit options override it.",
    )
    return option(function)


def given_data(
    ctx: click.Context, assignments: Iterable[str], *, with_options: bool = True
) -> tuple[DataConfig, Task | None]:
    """The settings of `data` that were given by --set and options, without defaults, and the task if it was given."""
    from tf_tokclf.config.loading import load_config, setting_names
    from tf_tokclf.config.schema import DataConfig
    from tf_tokclf.errors import UserError

    for assignment in assignments:
        key = assignment.partition("=")[0].strip()
        if key.partition(".")[0] not in ("data", "task"):
            name = key.rpartition(".")[2]
            is_known = name in setting_names(DataConfig)
            hint = f"Did you mean data.{name}?" if is_known else "All are listed by: tf-tokclf config schema."
            raise UserError(f"--set {key}: this command only accepts settings of the data.", hint=hint)
    config = load_config(assignments=assignments, options=given_settings(ctx) if with_options else {})
    return config.data, config.task if "task" in config.model_fields_set else None


def model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options for loading and running a model: the keyword arguments of `Tagger.load`."""
    heading = "Loading and running the model"
    for decorate in (
        setting_parameter("model.revision", "--model-revision", "revision", heading=heading),
        click.option(
            "--engine",
            cls=HeadedOption,
            heading=heading,
            type=click.Choice(ENGINES),
            default="auto",
            show_default=True,
            help="Library that runs the model. onnx: ONNX Runtime, for ONNX exports. auto: onnx if MODEL is an ONNX "
            "export, or its folder also contains a float32 export of the same weights; otherwise tensorflow.",
        ),
        click.option(
            "--precision",
            cls=HeadedOption,
            heading=heading,
            type=click.Choice(list(dict.fromkeys((*TENSORFLOW_PRECISIONS, *ONNX_PRECISIONS)))),
            help="Precision of the computation. tensorflow: float32, mixed_float16, mixed_bfloat16, or auto for "
            "what is fast on this machine. onnx: the export's file in float32, float16, int8 or int4.  "
            "[default: float32; for an export, as its onnx/record.json says]",
        ),
        setting_parameter(
            "evaluation.per_device_eval_batch_size",
            "--per-device-eval-batch-size",
            "batch_size",
            type=click.IntRange(min=1),
            heading=heading,
            default_text="4 to 16 on CPUs, 32 on GPUs",
        ),
        setting_parameter("evaluation.decoding", "--decoding", heading=heading, default_text="as in training"),
        click.option(
            "--aggregation",
            cls=HeadedOption,
            heading=heading,
            type=click.Choice(["first", "average", "max"]),
            default="first",
            show_default=True,
            help="How the scores of a word's subword tokens become the word's score. first: those of the first token; "
            "average: the mean of all; max: those of the token with the highest score.",
        ),
        setting_parameter("model.trust_remote_code", heading=heading),
    ):
        function = decorate(function)
    return function


no_thresholds_option = click.option(
    "--no-thresholds",
    "thresholds",
    flag_value=False,
    default=True,
    type=bool,
    help="Do not use the thresholds that are stored with the model, and decode as evaluate does.",
)

# The options of commands that read records and write them again.
records_output_option = click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Write to this file instead of stdout. Names that end in .gz, .zst, .xz, .bz2 or .zip are compressed.",
)
look_ahead_option = click.option(
    "--look-ahead",
    type=click.IntRange(min=1),
    default=16_384,
    show_default=True,
    help="Number of words to read ahead, to batch sentences of similar length. 1: label each sentence immediately.",
)


def check_is_file(output: Path | None, *, resume: bool) -> None:
    """Raise UserError if the output is a folder, or if it must be resumed and is a stream."""
    from tf_tokclf.files import is_stream

    if output is None:
        return
    if output.is_dir():
        raise UserError("is a folder.", path=output, hint="Name a file with --output.")
    if resume and is_stream(output):
        raise UserError("is not a file, so --resume cannot continue it.", path=output, hint="Omit --resume.")
