"""tf-tokclf cache: show and clear."""

from __future__ import annotations

import click

from tf_tokclf.cli.options import UnderscoreCommand, arguments_without
from tf_tokclf.cli.types import FiniteRange
from tf_tokclf.control_characters import echo


@click.group("cache")
def cache_command() -> None:
    """Show and clear the cache of read and tokenised data.

    The environment variable TF_TOKCLF_CACHE sets the folder. The default is tf-tokclf in XDG_CACHE_HOME or ~/.cache.
    Everything in the cache can be computed again from the data, so it is safe to clear it. If it exceeds its limit
    (5 GB, or the value of TF_TOKCLF_CACHE_SIZE or data.cache_size_gb), the least recently used entries are removed.

    \b
    tf-tokclf cache show
    tf-tokclf cache clear --older-than 30
    """


@cache_command.command("show", cls=UnderscoreCommand)
@click.option("--entries", "each", is_flag=True, help="List every entry, the most recently used first.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def show_command(each: bool, as_json: bool) -> None:
    """Print the size and the entries of the cache.

    \b
    tf-tokclf cache show
    tf-tokclf cache show --entries
    """
    from tf_tokclf.data.cache import Cache, cache_folder, size_limit

    cache = Cache(cache_folder(), size_limit())
    contents = cache.contents()
    if as_json:
        import json

        echo(json.dumps(contents.to_json(), indent=2, ensure_ascii=False))
        return
    from tf_tokclf.report.cache import cache_tables
    from tf_tokclf.report.next_steps import after_cache_show, show_next
    from tf_tokclf.report.terminal import stdout_console

    console = stdout_console()
    console.print(cache_tables(contents, each=each), crop=False)
    show_next(after_cache_show(n_entries=len(contents.entries)))


@cache_command.command("clear", cls=UnderscoreCommand)
@click.option(
    "--older-than",
    "days",
    type=FiniteRange(min=0),
    default=0,
    metavar="DAYS",
    help="Remove only entries that have not been used for this many days.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
@click.pass_context
def clear_command(ctx: click.Context, days: float, dry_run: bool) -> None:
    """Remove the entries of the cache that no process is using.

    Other files in the folder are not touched.

    \b
    tf-tokclf cache clear
    tf-tokclf cache clear --older-than 30 --dry-run
    """
    from tf_tokclf.data.cache import Cache, cache_folder, size_limit
    from tf_tokclf.report.cache import cleared_text
    from tf_tokclf.report.next_steps import after_cache_preview, show_next

    cache = Cache(cache_folder(), size_limit())
    cleared = cache.clear(unused_for_s=days * 24 * 3600, dry_run=dry_run)
    echo(cleared_text(cleared, dry_run=dry_run), err=True)
    if dry_run and cleared.removed:
        show_next(after_cache_preview(arguments_without(ctx, "dry_run")))
