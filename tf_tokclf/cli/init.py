"""tf-tokclf init."""

from __future__ import annotations

from pathlib import Path

import click

from tf_tokclf.cli.options import TwinCommand
from tf_tokclf.control_characters import echo

SAMPLE = "package:tf_tokclf/shipped/snips"


@click.command("init", cls=TwinCommand)
@click.option("--task", type=click.Choice(["ner", "pos", "chunk", "slots"]), help="What is labelled.  [default: ner]")
@click.option(
    "--model",
    "--model-name-or-path",
    default="distilbert-base-cased",
    show_default=True,
    help="Encoder: Hub id, folder or package:NAME/PATH.",
)
@click.option(
    "--data",
    metavar="FILE|FOLDER|HUB_ID",
    help="To train on; dev and test files named alike beside it come along.  [default: the shipped sample]",
)
@click.option("--output-dir", help="The run's folder.  [default: runs/ and the data's name]")
@click.option("--minimal", "amount", flag_value="minimal", help="Only what a run cannot do without.")
@click.option("--full", "amount", flag_value="full", help="Every setting.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write here, not to stdout.")
@click.option("--force", is_flag=True, help="Replace the file named by --output.")
def init_command(
    task: str | None,
    model: str,
    data: str | None,
    output_dir: str | None,
    amount: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """Print a commented configuration that runs.

    Each setting stands there with its meaning; those that are seldom changed come with --full. Editors with a YAML
    language server complete and check the file: a comment in it names the JSON Schema.

    \b
    tf-tokclf init > sample.yaml
    tf-tokclf init --data train.conll --model bert-base-cased -o mine.yaml
    tf-tokclf init --task pos --data treebank/ --minimal
    """
    from tf_tokclf.config.inputs import source_files
    from tf_tokclf.config.json_schema import schema_line
    from tf_tokclf.config.starter import Amount, data_settings, starter_yaml
    from tf_tokclf.files import check_output, open_output

    if output is not None:
        check_output(output, inputs=source_files(data), force=force)
    name = Path(data or "sample").stem
    values = {
        "task": task or ("ner" if data else "slots"),
        "output_dir": output_dir or f"runs/{name}",
        **data_settings(data or SAMPLE),
        "model.name_or_path": model,
    }
    where = output or "FILE.yaml"
    heading = f"# A run of tf-tokclf: what each setting means stands above it.\n#\n#   tf-tokclf fit {where}\n#\n"
    heading += schema_line()
    text = starter_yaml(values, Amount(amount or "usual"), heading=heading)
    if output is None:
        echo(text, nl=False)
        return
    with open_output(output) as file:
        file.write(text)
    echo(f"{output} is written. Next: tf-tokclf fit {output} --dry-run", err=True)
