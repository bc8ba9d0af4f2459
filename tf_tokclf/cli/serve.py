"""tf-tokclf serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tf_tokclf.cli.options import FiniteRange, TwinCommand, logging_options, model_options


@click.command("serve", cls=TwinCommand)
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0: all of them.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0: one that is free."
)
@click.option(
    "--max-batch-texts",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Texts of several requests that run together.",
)
@click.option(
    "--max-wait-ms",
    type=FiniteRange(min=0, max=60_000),
    default=5,
    show_default=True,
    help="A text waits so long for others to run with.",
)
@click.option(
    "--max-waiting-texts",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Texts that may wait for the model; requests beyond are answered 503.",
)
@click.option(
    "--timeout-s",
    type=FiniteRange(min=0, max=86_400, min_open=True),
    default=30,
    show_default=True,
    help="For a request from its beginning to its answer; then it is answered 504.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(min=1),
    default=1 << 20,
    show_default=True,
    help="Of a request; larger ones are answered 413.",
)
@click.option(
    "--max-texts",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="In a request; more are answered 422.",
)
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Characters of a text, or words of a list of words; longer ones are answered 422.",
)
@model_options
@logging_options
def serve_command(
    model: str,
    host: str,
    port: int,
    max_batch_texts: int,
    max_wait_ms: float,
    max_waiting_texts: int,
    timeout_s: float,
    max_body_bytes: int,
    max_texts: int,
    max_length: int,
    **options: Any,
) -> None:
    """Answer requests over HTTP with MODEL, a run, a model folder, a Hub id or package:NAME/PATH.

    POST /predict takes {"inputs": a text, a list of texts, or a list of lists of words}; /health, /metrics and
    /openapi.json are for those who run it; / is a page to try a sentence. Requests that come at about the same time
    run together. It serves until Ctrl-C or SIGTERM, and then finishes what is in flight. Nobody is asked who they
    are: let only those reach it who may.

    \b
    tf-tokclf serve runs/mine
    curl --header 'Content-Type: application/json' \\
        --data '{"inputs": "Ada Lovelace lived in London"}' http://127.0.0.1:8000/predict
    tf-tokclf serve runs/mine --host 0.0.0.0 --port 80 --max-batch-texts 64 --timeout-s 10
    """
    from tf_tokclf.serving.limits import Limits
    from tf_tokclf.serving.server import check_installed, listening_socket

    check_installed()
    limits = Limits(
        max_texts=max_texts,
        max_length=max_length,
        max_body_bytes=max_body_bytes,
        timeout_s=timeout_s,
        max_waiting_texts=max_waiting_texts,
        max_batch_texts=max_batch_texts,
        max_wait_s=max_wait_ms / 1000,
    )
    # A port that is taken shows before the model is loaded. Until it is, nobody can connect.
    listening_socket(host, port).close()

    from tf_tokclf.inference.api import load
    from tf_tokclf.serving.app import create_app
    from tf_tokclf.serving.server import run_server
    from tf_tokclf.serving.service import Service

    service = Service(load(model, **options), _name_of(model), limits)
    service.start()
    run_server(create_app(service), listening_socket(host, port), timeout_s=limits.timeout_s)


def _name_of(reference: str) -> str:
    """What to call a model where others see it: a Hub id, or the end of a path.

    >>> _name_of("/home/ada/runs/mine/model")
    'mine/model'
    """
    return "/".join(Path(reference).parts[-2:])
