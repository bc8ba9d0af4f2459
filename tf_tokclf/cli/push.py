"""tf-tokclf push."""

from __future__ import annotations

from pathlib import Path

import click

from tf_tokclf.cli.options import UnderscoreCommand, logging_options
from tf_tokclf.cli.setting_options import setting_parameter


@click.command("push", cls=UnderscoreCommand)
@click.argument("path", metavar="RUN_OR_FOLDER", type=click.Path(path_type=Path))
@setting_parameter("hub.model_id", default_text="as in the run")
@setting_parameter("hub.private", default=None)
@setting_parameter("hub.revision", "--revision")
@click.option("--message", default="Upload token classifier", show_default=True, help="Commit message.")
@click.option("--keep-card", is_flag=True, help="Push README.md unchanged instead of writing it again from the run.")
@click.option(
    "--other-seeds",
    multiple=True,
    metavar="RUN",
    help="A run that differs only in its seed, for the standard deviation in the card. Can be repeated.",
)
@setting_parameter("hub.tries", "--tries", type=click.IntRange(1), default=5)
@logging_options
def push_command(
    path: Path,
    hub_model_id: str | None,
    hub_private_repo: bool | None,
    revision: str | None,
    message: str,
    keep_card: bool,
    other_seeds: tuple[str, ...],
    tries: int,
) -> None:
    """Publish the model of a run, or a model folder, on the Hugging Face Hub.

    The uploaded files are verified. The Hub token is that in HF_TOKEN, or the one that `hf auth login` stored.
    HF_ENDPOINT selects another Hub. If nothing has changed since the last push, no commit is made.

    \b
    tf-tokclf push runs/mine --hub-model-id me/mine
    """
    from tf_tokclf.publishing.hub_repository import Patience
    from tf_tokclf.publishing.publish import push
    from tf_tokclf.report.terminal import status

    with status("publishing"):
        pushed = push(
            path,
            repo_id=hub_model_id,
            private=hub_private_repo,
            revision=revision,
            message=message,
            keep_card=keep_card,
            other_seeds=other_seeds,
            patience=Patience(tries=tries),
        )
    if not pushed.changed:
        click.echo("Nothing to push: the repository is up to date.", err=True)
    click.echo(pushed.url)
