"""tf-tokclf serve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tf_tokclf.cli.options import UnderscoreCommand, logging_options, model_options, no_thresholds_option
from tf_tokclf.cli.types import FiniteRange

if TYPE_CHECKING:
    from tf_tokclf.serving.limits import Limits
    from tf_tokclf.serving.service import Service


@click.command("serve", cls=UnderscoreCommand)
@click.argument("model")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Use 0.0.0.0 for all IPv4 addresses, or :: for all addresses.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen on. 0: a free one."
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Host name or address that clients use to reach the server, in addition to localhost. Can be repeated. "
    "Required if --host is an address that other machines can reach. '*': any name.",
)
@click.option(
    "--max-batch-texts",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Maximum number of texts in a batch. A batch can contain texts of several requests.",
)
@click.option(
    "--max-wait-ms",
    type=FiniteRange(min=0, max=60_000),
    default=5,
    show_default=True,
    help="Maximum time a request waits to be batched with others, in milliseconds.",
)
@click.option(
    "--max-waiting-texts",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Maximum number of texts that wait for the model. Further requests get status 503.",
)
@click.option(
    "--timeout-s",
    type=FiniteRange(min=0, max=86_400, min_open=True),
    default=30,
    show_default=True,
    help="Maximum time from the end of a request's headers to its response, in seconds. A request that takes longer "
    "gets status 408 or 504.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Maximum number of open connections. A new one beyond that replaces a connection without a request, or gets "
    "status 503.",
)
@click.option(
    "--headers-timeout-s",
    type=FiniteRange(min=0, max=86_400, min_open=True),
    default=10,
    show_default=True,
    help="Maximum time until all headers of a request have arrived, in seconds: from opening the connection, or from "
    "the first byte of a later request. After that, the request gets status 408, or an unused connection is closed.",
)
@click.option(
    "--keep-alive-s",
    type=FiniteRange(min=0, max=86_400, min_open=True),
    default=75,
    show_default=True,
    help="Maximum time a connection stays open between two requests, in seconds.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(min=1),
    default=1 << 20,
    show_default=True,
    help="Maximum size of a request's body, in bytes. A larger request gets status 413.",
)
@click.option(
    "--max-texts",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Maximum number of texts in a request. Requests with more texts get status 422.",
)
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Maximum number of characters in a text, or of words in a list. Requests with a longer text or list "
    "get status 422.",
)
@no_thresholds_option
@model_options
@logging_options
def serve_command(
    model: str,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    max_batch_texts: int,
    max_wait_ms: float,
    max_waiting_texts: int,
    timeout_s: float,
    max_connections: int,
    headers_timeout_s: float,
    keep_alive_s: float,
    max_body_bytes: int,
    max_texts: int,
    max_length: int,
    **options: Any,
) -> None:
    """Serve MODEL (a run, a model folder, a Hub id or package:NAME/PATH) over HTTP.

    POST /predict accepts {"inputs": ...}: a text, a list of texts, or a list of lists of words. / is a page where you
    can try a text, /docs describes the API, and /health and /metrics are for monitoring. Requests that arrive at about
    the same time are batched. On Ctrl-C or SIGTERM, the server answers the requests that have arrived, and then stops.
    There is no authentication: make sure that only authorised clients can reach the server.

    \b
    tf-tokclf serve runs/mine
    curl --header 'Content-Type: application/json' \\
        --data '{"inputs": "Ada Lovelace lived in London"}' http://127.0.0.1:8000/predict
    tf-tokclf serve runs/mine --host 0.0.0.0 --allowed-host ner.example.org --max-batch-texts 64 --timeout-s 10
    """
    from tf_tokclf.serving.hosts import AllowedHosts
    from tf_tokclf.serving.limits import Limits
    from tf_tokclf.serving.server import check_installed, listening_socket, run_server

    check_installed()
    limits = Limits(
        max_texts=max_texts,
        max_length=max_length,
        max_body_bytes=max_body_bytes,
        timeout_s=timeout_s,
        max_connections=max_connections,
        headers_timeout_s=headers_timeout_s,
        keep_alive_s=keep_alive_s,
        max_waiting_texts=max_waiting_texts,
        max_batch_texts=max_batch_texts,
        max_wait_s=max_wait_ms / 1000,
    )
    hosts = AllowedHosts.parse(allowed_hosts)
    # A port that is taken is reported before the model is loaded. Until it is loaded, nobody can connect.
    with listening_socket(host, port) as trial:
        hosts.check(trial.getsockname()[0])
    service = _started_service(model, limits, options)
    run_server(service, listening_socket(host, port), hosts)


def _started_service(model: str, limits: Limits, options: dict[str, Any]) -> Service:
    from tf_tokclf.inference.load import load
    from tf_tokclf.report.terminal import status
    from tf_tokclf.serving.service import Service

    with status("loading the model"):
        service = Service(load(model, **options), _name_of(model), limits)
        service.start()
    return service


def _name_of(reference: str) -> str:
    """The name of a model that clients see: a Hub id, or the end of a path.

    >>> _name_of("/home/ada/runs/mine/model")
    'mine/model'
    """
    return "/".join(Path(reference).parts[-2:])
