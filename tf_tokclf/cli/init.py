"""tf-tokclf init."""

from __future__ import annotations

from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand
from tf_tokclf.cli.setting_options import setting_parameter
from tf_tokclf.control_characters import echo

SAMPLE = "package:tf_tokclf/shipped/snips"


@click.command("init", cls=UnderscoreCommand)
@setting_parameter("task", default_text="ner, or slots for the shipped sample")
@setting_parameter("model.name_or_path", "--model", "--model-name-or-path", default="distilbert-base-cased")
@click.option(
    "--data",
    metavar="FILE|FOLDER|HUB_ID",
    help="Data to train on. Validation and test files with similar names next to it are used as well.  "
    "[default: the shipped sample]",
)
@setting_parameter("output_dir", default_text="runs/ and the name of the data")
@click.option("--minimal", "amount", flag_value="minimal", help="Write only the settings that a run requires.")
@click.option("--full", "amount", flag_value="full", help="Write every setting.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout."
)
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
    """Print a commented configuration to start from.

    A comment explains each setting. Settings that are rarely changed are only written with --full. Another comment
    names the JSON Schema of the file, which editors with a YAML language server use for completion and checks.

    \b
    tf-tokclf init > sample.yaml
    tf-tokclf init --data train.conll --model bert-base-cased -o mine.yaml
    tf-tokclf init --task pos --data treebank/ --minimal
    """
    from tf_tokclf.config.json_schema import schema_line
    from tf_tokclf.config.starter import Amount, starter_yaml
    from tf_tokclf.data.inputs import source_files
    from tf_tokclf.data.split_names import data_settings
    from tf_tokclf.files import check_output, open_output
    from tf_tokclf.report.next_steps import after_init, show_next

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
    heading = f"# A run of tf-tokclf. A comment above each setting explains it.\n#\n#   tf-tokclf fit {where}\n#\n"
    heading += schema_line()
    text = starter_yaml(values, Amount(amount or "usual"), heading=heading)
    if output is None:
        echo(text, nl=False)
        return
    with open_output(output) as file:
        file.write(text)
    echo(f"Wrote {output}.", err=True)
    show_next(after_init(output))
