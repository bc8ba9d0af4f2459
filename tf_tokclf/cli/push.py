"""tf-tokclf push."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.options import UnderscoreCommand, arguments_without, logging_options
from tf_tokclf.cli.setting_options import setting_parameter
from tf_tokclf.control_characters import echo


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
@click.option(
    "--dry-run",
    is_flag=True,
    help="List what would become public: the files, and the texts in the model card that come from your data and "
    "settings. Nothing is sent, and no token is needed.",
)
@logging_options
@click.pass_context
def push_command(
    ctx: click.Context,
    path: Path,
    hub_model_id: str | None,
    hub_private_repo: bool | None,
    revision: str | None,
    message: str,
    keep_card: bool,
    other_seeds: tuple[str, ...],
    tries: int,
    dry_run: bool,
) -> None:
    """Publish the model of a run, or a model folder, on the Hugging Face Hub.

    The uploaded files are verified. The Hub token is read from HF_TOKEN, or else from where `hf auth login` stored it.
    HF_ENDPOINT selects another Hub. If nothing has changed since the last push, no commit is made.

    \b
    tf-tokclf push runs/mine --hub-model-id me/mine --dry-run
    tf-tokclf push runs/mine --hub-model-id me/mine
    """
    from tf_tokclf.optional_packages import check_full_install

    check_full_install("push")
    source: dict[str, Any] = {
        "repo_id": hub_model_id,
        "private": hub_private_repo,
        "revision": revision,
        "keep_card": keep_card,
        "other_seeds": other_seeds,
    }
    from tf_tokclf.report.next_steps import after_preview, after_push, show_next

    if dry_run:
        _show_preview(path, **source)
        show_next(after_preview(arguments_without(ctx, "dry_run")))
        return
    from tf_tokclf.publishing.hub_repository import Patience
    from tf_tokclf.publishing.publish import push
    from tf_tokclf.report.terminal import status

    with status("publishing"):
        pushed = push(path, **source, message=message, patience=Patience(tries=tries))
    if not pushed.changed:
        click.echo("Nothing to push: the repository is up to date.", err=True)
    click.echo(pushed.url)
    show_next(after_push(pushed.repo_id, pushed.url, revision=revision))


def _show_preview(path: Path, **options: Any) -> None:
    from tf_tokclf.publishing.preview import preview
    from tf_tokclf.report.terminal import status

    with status("checking"):
        found = preview(path, **options)
    echo(str(found))
