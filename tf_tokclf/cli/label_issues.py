"""tf-tokclf label-issues."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand, logging_options, set_option
from tf_tokclf.cli.setting_options import HeadedOption, given_settings, setting_options
from tf_tokclf.control_characters import plain_text

log = logging.getLogger(__name__)

# The help lists these options first.
_run_option = partial(click.option, cls=HeadedOption, heading="Run")
_SETTINGS = ("task", "recipe", "data", "model", "alignment", "optimizer", "training", "evaluation")


@click.command("label-issues", cls=UnderscoreCommand)
@click.argument("config", required=False)
@_run_option(
    "--output",
    "-o",
    "folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the results. The same command continues in it if it was stopped.",
)
@_run_option(
    "--folds",
    type=click.IntRange(min=2, max=1000),
    default=5,
    show_default=True,
    help="Number of parts of the training sentences. For each, a model is trained on the other parts.",
)
@_run_option(
    "--tasks",
    "formats",
    type=click.Choice(["label-studio", "prodigy", "doccano"]),
    multiple=True,
    help="Also write the sentences with issues as tasks for this annotation tool. Can be repeated.",
)
@_run_option("--top", type=click.IntRange(min=0), default=20, show_default=True, help="Number of issues to print.")
@_run_option("--force", is_flag=True, help="Replace the results in FOLDER if they belong to other data or settings.")
@setting_options(
    *_SETTINGS, without=("data.extra_file", "data.extra_min_score", "data.extra_labels", "training.extra_weight")
)
@set_option(heading="Run")
@logging_options
@click.pass_context
def label_issues_command(
    ctx: click.Context,
    config: str | None,
    folder: Path,
    folds: int,
    formats: tuple[str, ...],
    top: int,
    force: bool,
    assignments: tuple[str, ...],
) -> None:
    """Find labels in the training data that are probably wrong.

    The training sentences are divided into folds, and each fold is labelled by a model that was trained on the others.
    Spans on which the given labels and that model differ are ranked by the label quality score of cleanlab. CONFIG and
    the options are those of fit. Other splits than the training data are not used.

    \b
    tf-tokclf label-issues --train-file train.conll \\
        --model-name-or-path distilbert-base-cased -o issues
    tf-tokclf label-issues configs/quickstart.yaml --folds 10 -o issues
    """
    from tf_tokclf.config.loading import load_config
    from tf_tokclf.encoding.run_inputs import check_run_inputs
    from tf_tokclf.optional_packages import check_full_install
    from tf_tokclf.report.next_steps import encoder_to_try
    from tf_tokclf.report.terminal import status, stdout_console
    from tf_tokclf.scoring.label_issues import check_cleanlab

    check_full_install("label-issues")
    check_cleanlab()
    options = {**given_settings(ctx), "output_dir": str(folder)}
    settings = load_config(config, assignments=assignments, options=options)
    if settings.model.name_or_path is None:
        options["model.name_or_path"] = encoder_to_try()
        log.info("encoder: %s (--model-name-or-path chooses another one)", encoder_to_try())
        settings = load_config(config, assignments=assignments, options=options)
    check_run_inputs(settings)
    with status("loading TensorFlow"):
        from tf_tokclf.runs.label_issues import IssuesDir, find_label_issues

    found = find_label_issues(settings, folder, n_folds=folds, formats=formats, force=force)
    from tf_tokclf.report.label_issues import issue_table

    there = IssuesDir(folder)
    out = stdout_console()
    out.print(issue_table(found, top))
    files = [("issues", there.issues), ("page", there.page), *(("tasks", there.tasks(one)) for one in formats)]
    out.print(plain_text("\n" + "\n".join(f"{name:7} {path}" for name, path in files)), soft_wrap=True)
