"""tf-tokclf fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.options import UnderscoreCommand, arguments_without, logging_options, remember_arguments, set_option
from tf_tokclf.cli.setting_options import HeadedOption, given_settings, setting_options
from tf_tokclf.cli.types import SweptSetting
from tf_tokclf.control_characters import echo, plain_text

if TYPE_CHECKING:
    from tf_tokclf.cli.run_ner import Translation
    from tf_tokclf.config.schema import Config
    from tf_tokclf.report.table_formats import ResultTable
    from tf_tokclf.run_dir import RunDir
    from tf_tokclf.runs.seeds import SeedSummary
    from tf_tokclf.runs.sweep import SweepSummary
    from tf_tokclf.scoring.learning_curve import LearningCurve
    from tf_tokclf.training.train import RunResult

# The help lists these options first.
_run_option = partial(click.option, cls=HeadedOption, heading="Run")
# The key in the context's `meta` for the places of settings that come from a file of arguments.
_ORIGINS = "tf_tokclf.origins"


class FitCommand(UnderscoreCommand):
    """`fit`, which also accepts command lines and files of arguments of transformers' run_ner.py."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Translate the arguments, then parse them. Raises one UserError about all arguments that cannot be used."""
        if ctx.resilient_parsing:  # for shell completion
            return super().parse_args(ctx, args)
        translation = self.translation(args)
        try:
            rest = super().parse_args(ctx, translation.args)
        except click.UsageError as error:
            raise translation.error or _placed(error, translation) from None
        if translation.error:
            raise translation.error
        translation.log()
        ctx.meta[_ORIGINS] = translation.origins
        remember_arguments(ctx, args)
        return rest

    def translation(self, args: list[str]) -> Translation:
        """The options of `fit` for a command line that may contain arguments of run_ner.py."""
        from tf_tokclf.cli.run_ner import translated

        parameters = (parameter for parameter in self.params if isinstance(parameter, click.Option))
        return translated(args, {name: one for one in parameters for name in (*one.opts, *one.secondary_opts)})


def _placed(error: click.UsageError, translation: Translation) -> Exception:
    """The error, with the name of the file of arguments if the option comes from one."""
    from tf_tokclf.errors import UserError

    names = error.param.opts if isinstance(error, click.BadParameter) and error.param else ()
    origin = next((translation.origins[name] for name in names if name in translation.origins), None)
    return UserError(error.message, path=origin) if origin else error


@click.command("fit", cls=FitCommand)
@click.argument("config", required=False)
@setting_options()
@set_option(heading="Run")
@_run_option("--resume", is_flag=True, help="Continue the run in the output folder from its newest checkpoint.")
@_run_option(
    "--resume-from-checkpoint",
    metavar="FOLDER",
    help="Continue from the newest checkpoint in FOLDER: a checkpoint, a run, or a local copy of a Hub repository "
    "that contains checkpoints. The value true has the same effect as --resume.",
)
@_run_option(
    "--seeds",
    callback=lambda ctx, parameter, text: seed_list(text),
    metavar="N,N,...",
    help="Train once for each of these seeds, report mean and standard deviation, and keep the median run as the "
    "model.",
)
@_run_option(
    "--learning-curve",
    callback=lambda ctx, parameter, text: share_list(text),
    metavar="SHARE,SHARE,...",
    help="Train once on each of these shares of the training data, such as 0.1,0.25,0.5,1, and report what more data "
    "would bring. With --seeds, train with each seed on each share. The median run on the largest share is the model.",
)
@_run_option(
    "--sweep",
    type=SweptSetting(),
    multiple=True,
    expose_value=False,
    callback=lambda ctx, parameter, pairs: _collect_sweep(ctx, pairs),
    help="Train once for each of these values, and keep the run with the best validation F1, or with "
    "the best --metric-for-best-model if it is set. Can be repeated: all combinations are then trained.",
)
@_run_option(
    "--scores-format",
    type=click.Choice(["table", "markdown", "latex", "csv", "json"]),
    default="table",
    show_default=True,
    help="Format of the printed scores, with --seeds, --sweep and --learning-curve too. latex: a table for the package "
    "booktabs. Scores are percentages, except in json, where they are fractions.",
)
@_run_option("--dry-run", is_flag=True, help="Print the plan and stop before training.")
@_run_option(
    "--use-cpu",
    is_flag=True,
    hidden=True,
    expose_value=False,
    callback=lambda ctx, parameter, use_cpu: _hide_gpus() if use_cpu else None,
    help="Use no GPU, as in run_ner.py.",
)
@logging_options
@click.pass_context
def fit_command(
    ctx: click.Context,
    config: str | None,
    assignments: tuple[str, ...],
    resume: bool,
    resume_from_checkpoint: str | None,
    seeds: tuple[int, ...],
    learning_curve: tuple[float, ...],
    scores_format: str,
    dry_run: bool,
) -> None:
    """Train a token classifier, score it and save it.

    CONFIG is a YAML file, the name of a configuration that comes with tf-tokclf, or the folder of a run, whose
    configuration is then used. Options override --set, which overrides CONFIG.

    Ctrl-C or SIGTERM saves a checkpoint and stops (exit code 130 or 143); --resume continues the run. Press Ctrl-C
    again to stop immediately.

    \b
    tf-tokclf fit configs/quickstart.yaml
    tf-tokclf fit --train-file a.conll --validation-file b.conll \\
        --model-name-or-path distilbert-base-cased --output-dir runs/mine
    tf-tokclf fit runs/mine --resume
    """
    from tf_tokclf.config.loading import load_config
    from tf_tokclf.encoding.run_inputs import check_run_inputs
    from tf_tokclf.optional_packages import check_full_install
    from tf_tokclf.report.terminal import key_value_table, status, stderr_console

    check_full_install("fit")
    options = dict(given_settings(ctx))
    config = own_config(config, options, resume=resume)
    with _with_way_to_restore(config, resume=resume):
        settings = load_config(config, assignments=assignments, options=options, origins=ctx.meta.get(_ORIGINS, {}))

    # A sweep can try several files. Each trial checks its own.
    if not settings.sweep:
        check_run_inputs(settings)
    with status("loading TensorFlow"):
        from tf_tokclf.runs.fit import check_kind, fit

    if resume_from_checkpoint and resume_from_checkpoint.lower() == "true":
        resume, resume_from_checkpoint = True, None
    if dry_run:
        check_kind(settings, seeds, resume_from_checkpoint or None, learning_curve)
        _show_plan(settings, ctx, learning_curve=learning_curve, seeds=seeds)
        return
    result = fit(
        settings,
        seeds=seeds,
        learning_curve=learning_curve,
        resume=resume,
        resume_from=resume_from_checkpoint or None,
        show_plan=lambda rows: stderr_console().print(key_value_table(rows)),
        show_scores=partial(_show_scores, scores_format=scores_format),
    )
    _show_result(result, settings, scores_format=scores_format)


def _show_plan(
    settings: Config, ctx: click.Context, *, learning_curve: tuple[float, ...], seeds: tuple[int, ...]
) -> None:
    from tf_tokclf.report.next_steps import after_plan, show_next
    from tf_tokclf.report.terminal import key_value_table, status, stdout_console
    from tf_tokclf.runs.fit import planned

    with status("reading data and encoder"):
        rows = planned(settings, learning_curve=learning_curve, seeds=seeds)
    stdout_console().print(key_value_table(rows))
    # If a file contains dry_run, the same command line without --dry-run would print the plan again.
    if "--dry-run" not in ctx.meta.get(_ORIGINS, {}):
        show_next(after_plan(arguments_without(ctx, "dry_run")))


def _show_result(result: Any, settings: Config, *, scores_format: str) -> None:
    """Print the scores of several runs, and what usually comes next."""
    from tf_tokclf.run_dir import RunDir
    from tf_tokclf.runs.seeds import SeedSummary
    from tf_tokclf.runs.sweep import SweepSummary
    from tf_tokclf.scoring.learning_curve import LearningCurve

    run, mode = RunDir.of(settings.output_dir), settings.evaluation.mode
    if isinstance(result, SweepSummary):
        _show_sweep(result, run, names=list(settings.sweep), mode=mode, scores_format=scores_format)
    elif isinstance(result, SeedSummary):
        _show_seeds(result, run, mode=mode, scores_format=scores_format)
    elif isinstance(result, LearningCurve):
        _show_curve(result, run, mode=mode, scores_format=scores_format)
    _show_next(settings, run)


def _show_next(settings: Config, run: RunDir) -> None:
    from tf_tokclf.config.cluster import is_chief
    from tf_tokclf.report.next_steps import after_fit, show_next

    if is_chief(settings.training.strategy):
        show_next(after_fit(run, is_pushed=settings.hub.push))


def _show_scores(result: RunResult, *, scores_format: str) -> None:
    from tf_tokclf.report.result_tables import evaluation_table
    from tf_tokclf.report.score_tables import evaluation_tables
    from tf_tokclf.report.terminal import stdout_console

    if not result.evaluations:
        return
    run = result.run
    files = f"model   {run.model}\nscores  {run.results}\nreport  {run.report}"
    if scores_format != "table":
        json = {"splits": {name: evaluation.to_json() for name, evaluation in result.evaluations.items()}}
        _print_formatted(
            lambda: evaluation_table(result.evaluations, {"run": str(run.root)}), json, scores_format, files
        )
        return
    out = stdout_console()
    for name, evaluation in result.evaluations.items():
        out.print(f"\n{name}", style="bold")
        out.print(evaluation_tables(evaluation))
    out.print(plain_text(f"\n{files}"), soft_wrap=True)


def _show_seeds(summary: SeedSummary, run: RunDir, *, mode: str, scores_format: str) -> None:
    from tf_tokclf.report.result_tables import seeds_result_table
    from tf_tokclf.report.score_tables import seeds_table
    from tf_tokclf.report.terminal import stdout_console

    f1 = {one.seed: one.f1 for one in summary.scores}
    places = f"model   {run.model} (seed {summary.median}, the median)\nscores  {run.seeds}"
    if scores_format != "table":
        table = partial(
            seeds_result_table, f1, {"runs": str(run.root)}, median=summary.median, measure=summary.measure, mode=mode
        )
        _print_formatted(table, summary.to_json(), scores_format, places)
        return
    out = stdout_console()
    out.print(seeds_table(f1, median=summary.median))
    out.print(plain_text(f"\n{places}"), soft_wrap=True)


def _show_sweep(summary: SweepSummary, run: RunDir, *, names: list[str], mode: str, scores_format: str) -> None:
    from tf_tokclf.report.result_tables import sweep_result_table
    from tf_tokclf.report.score_tables import sweep_table
    from tf_tokclf.report.terminal import stdout_console

    trials, measure = summary.trials_as_text(names), summary.measure
    places = f"model   {run.model} (trial {summary.best.name}, the best)\nscores  {run.sweep}"
    if scores_format != "table":
        table = partial(sweep_result_table, names, trials, {"runs": str(run.root)}, measure=measure, mode=mode)
        _print_formatted(table, summary.to_json(), scores_format, places)
        return
    out = stdout_console()
    out.print(sweep_table(names, [(name, values, value) for name, values, _, value in trials], measure))
    out.print(plain_text(f"\n{places}"), soft_wrap=True)


def _show_curve(curve: LearningCurve, run: RunDir, *, mode: str, scores_format: str) -> None:
    from tf_tokclf.report.learning_curve import curve_table, short_curve_table
    from tf_tokclf.report.table_formats import terminal_table
    from tf_tokclf.report.terminal import stdout_console

    places = (
        f"model   {run.model} (share {curve.shares[-1]:g}, seed {curve.chosen})\nscores  {run.learning_curve}\n"
        f"picture {run.learning_curve_picture}"
    )
    if scores_format != "table":
        table = partial(curve_table, curve, {"runs": str(run.root)}, mode=mode)
        _print_formatted(table, curve.to_json(), scores_format, places)
        return
    out = stdout_console()
    out.print(terminal_table(short_curve_table(curve)))
    out.print(plain_text(f"\n{curve.outlook_text}"))
    out.print(plain_text(f"\n{places}"), soft_wrap=True)


def _print_formatted(table: Callable[[], ResultTable], json: dict[str, Any], scores_format: str, places: str) -> None:
    """Print scores for another program on standard output, and the paths of files on standard error."""
    from json import dumps

    from tf_tokclf.report.table_formats import formatted

    if scores_format == "json":
        echo(dumps(json, ensure_ascii=False))
    else:
        echo(formatted(table(), scores_format), nl=False)
    echo(places, err=True)


def _hide_gpus() -> None:
    """Hide all GPUs from TensorFlow, which is imported later."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _collect_sweep(ctx: click.Context, pairs: tuple[tuple[str, list[Any]], ...]) -> None:
    for name, values in pairs:
        swept = given_settings(ctx).setdefault("sweep", {})
        if name in swept:
            raise click.BadParameter(f"{name} is given twice. List its values separated by commas.")
        swept[name] = values


def seed_list(text: str | None) -> tuple[int, ...]:
    """The seeds in a text such as "1,2,3"."""
    try:
        seeds = tuple(int(number) for number in text.split(",")) if text else ()
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of whole numbers such as 1,2,3.") from error
    if any(seed < 0 for seed in seeds):
        raise click.BadParameter("seeds must be 0 or greater.")
    return seeds


def share_list(text: str | None) -> tuple[float, ...]:
    """The shares in a text such as "0.1,0.5,1"."""
    try:
        shares = tuple(float(number) for number in text.split(",")) if text else ()
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of shares such as 0.1,0.25,0.5,1.") from error
    if odd := [share for share in shares if not 0 < share <= 1]:
        raise click.BadParameter(f"{odd[0]:g} is not a share above 0 and at most 1.")
    if text is not None and len(set(shares)) < max(2, len(shares)):
        raise click.BadParameter("two or more different shares are needed, such as 0.1,0.25,0.5,1.")
    return shares


def own_config(config: str | None, options: dict[str, Any], *, resume: bool = False) -> str | None:
    """The configuration file to read. If `config` is the folder of a run, that is the run's own, and the folder becomes
    the output folder.

    resume: restore the configuration if it is missing from the run.
    """
    from tf_tokclf.run_dir import RunDir

    run = RunDir(Path(config or "."))
    if config is None:
        return config
    if resume and not (run.config.is_file() and run.config.stat().st_size):
        _restore_config(run)
    if not run.config.is_file():
        if resume:
            _refuse_unfinished_seeds(run)
        return config
    options.setdefault("output_dir", config)
    return str(run.config)


def _refuse_unfinished_seeds(run: RunDir) -> None:
    """Raise UserError if the folder contains runs of several seeds, but no run of its own yet."""
    from tf_tokclf.errors import UserError

    if not run.seeds_with_folder:
        return
    raise UserError(
        "contains runs of several seeds that are not finished.",
        path=run.root,
        hint="Continue them with the command that started them (fit CONFIG --seeds N,N,...) and --resume.",
    )


@contextmanager
def _with_way_to_restore(config: str | None, *, resume: bool) -> Iterator[None]:
    """Add a way to restore the run's configuration to the message about it. The file is not overwritten, because the
    user may have edited it.
    """
    from tf_tokclf.errors import UserError
    from tf_tokclf.run_dir import RunDir

    try:
        yield
    except UserError as error:
        run = RunDir(Path(config or ".").parent)
        if not (resume and config == str(run.config) and error.path == config and _has_copy_of_config(run)):
            raise
        hint = f"{error.hint or ''} Or remove the file: --resume then restores it.".strip()
        raise UserError(error.problem, path=error.path, line=error.line, row=error.row, hint=hint) from error


def _has_copy_of_config(run: RunDir) -> bool:
    return run.finished.is_file() or run.checkpoints.is_dir()


def _restore_config(run: RunDir) -> None:
    if not _has_copy_of_config(run):
        return
    from tf_tokclf.training.resume import restore_config

    restore_config(run)
