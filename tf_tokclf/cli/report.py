"""tf-tokclf report."""

from __future__ import annotations

from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand, logging_options
from tf_tokclf.cli.setting_options import setting_parameter
from tf_tokclf.control_characters import echo


@click.command("report", cls=UnderscoreCommand)
@click.argument("runs", nargs=-1, required=True)
@click.option("--compare", is_flag=True, help="Compare each of RUNS with the first one, on one page.")
@click.option(
    "--split", default="test", show_default=True, help="Split whose predictions are compared (with --compare)."
)
@setting_parameter("evaluation.mode", "--mode", default="conlleval")
@click.option(
    "--samples", type=click.IntRange(min=1), default=10_000, show_default=True, help="Number of bootstrap samples."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Random seed of the resampling.")
@click.option(
    "--by",
    metavar="length|seen|domain|COLUMN",
    multiple=True,
    help="Also show slices of the data, as in evaluate, and mark those that are significantly worse. Can be repeated.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@logging_options
def report_command(
    runs: tuple[str, ...],
    compare: bool,
    split: str,
    mode: str,
    samples: int,
    seed: int,
    by: tuple[str, ...],
    output: Path,
    force: bool,
) -> None:
    """Write an HTML page about one run, or one that compares several runs.

    The page of a run is the one that fit writes. With --compare, the page shows learning curves, the settings that
    differ, F1 by type with the intervals and p-values of compare, and the sentences with different predictions.
    RUNS can also be folders of several seeds, files of predictions, or NAME=PATH,PATH,... as for compare. The page has
    no scripts and works offline.

    \b
    tf-tokclf report runs/mine
    tf-tokclf report runs/mine --by domain --by length
    tf-tokclf report --compare runs/mine runs/second --output comparison.html
    """
    from tf_tokclf.files import check_output, open_output
    from tf_tokclf.report.next_steps import after_report, show_next
    from tf_tokclf.scoring.comparison import files_of_systems

    if not compare and len(runs) > 1:
        raise click.UsageError("A report is about one run. Pass --compare to compare several.")
    if compare and by:
        raise click.UsageError("--by is for the page of one run. Omit --compare.")
    if compare:
        check_output(output, inputs=files_of_systems(runs, split), force=force)
        text = _comparison(runs, split=split, mode=mode, samples=samples, seed=seed)
    else:
        text = _report(Path(runs[0]), output, by=by, force=force)
    with open_output(output) as file:
        file.write(text)
    echo(str(output))
    show_next(after_report(output))


def _comparison(runs: tuple[str, ...], *, split: str, mode: str, samples: int, seed: int) -> str:
    from tf_tokclf.report.comparison_page import comparison_html
    from tf_tokclf.report.terminal import status
    from tf_tokclf.scoring.comparison import compare_systems

    with status("comparing"):
        comparison = compare_systems(
            runs, split=split, mode="strict" if mode == "strict" else "conlleval", n_samples=samples, seed=seed
        )
        return comparison_html(comparison)


def _report(root: Path, output: Path, *, by: tuple[str, ...], force: bool) -> str:
    from tf_tokclf.files import check_output
    from tf_tokclf.report.reported_run import run_with_results, training_spans
    from tf_tokclf.report.run_page import report_html
    from tf_tokclf.report.terminal import status

    run = run_with_results(root)
    check_output(output, inputs=[path for path in root.rglob("*") if path.is_file()], force=force)
    with status("writing the report"):
        return report_html(run, training=training_spans(run), by=by)
