"""The HTTP application: /predict, /health, /metrics and the page."""

# No `from __future__ import annotations`: FastAPI reads them, and one names a class that is made at run time.

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response

from tf_tokclf.errors import UserError
from tf_tokclf.serving.batching import Abandoned, Busy, Closed, WorkFailed
from tf_tokclf.serving.gate import Gate
from tf_tokclf.serving.metrics import CONTENT_TYPE
from tf_tokclf.serving.page import HEADERS, Page, Shown
from tf_tokclf.serving.schema import Health, Predictions, PredictOptions, Problem, problem_of, request_model
from tf_tokclf.serving.service import Service
from tf_tokclf.version import __version__

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is no UTF-8, or nested too deeply."},
    408: {"description": "The request did not arrive in time."},
    413: {"description": "The body is too large."},
    422: {"description": "The body is no JSON, or not what it should be."},
    500: {"description": "The server failed."},
    503: {
        "description": "Too much waits already.",
        "headers": {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds until another try."}},
    },
    504: {"description": "No answer in time."},
}


def create_app(service: Service) -> Gate:
    """The ASGI application that serves `service`, which it starts and closes."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    # Swagger's and ReDoc's pages come from other servers: there are none here.
    app = FastAPI(
        title="tf-tokclf",
        summary="A token classifier over HTTP.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    add_predict(app, service)
    add_page(app, service)
    add_health(app, service)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(400, _unreadable)
    app.add_exception_handler(Exception, _failed)
    return Gate(app, service.limits, service.metrics, ["/", "/predict", "/health", "/metrics", "/openapi.json"])


def add_predict(app: FastAPI, service: Service) -> None:
    """POST /predict."""
    model = request_model(service.limits)

    @app.post(
        "/predict",
        summary="Label texts",
        response_model=Predictions,
        responses={status: {"model": Problem, **about} for status, about in _PROBLEMS.items()},
    )
    async def predict(request: Annotated[model, Body()]) -> Response:  # type: ignore[valid-type]
        """A prediction for each text or list of words, in order."""
        # Built here and not by FastAPI, which would check every answer against the model.
        options: PredictOptions = request  # type: ignore[assignment]
        try:
            return JSONResponse({"predictions": await service.predict(request.inputs, options)})  # type: ignore[attr-defined]
        except (Busy, Closed, Abandoned, WorkFailed, UserError) as error:
            status, detail, headers = _refusal(error)
            return JSONResponse({"detail": detail}, status, headers)


def add_page(app: FastAPI, service: Service) -> None:
    """GET / with a form, POST / with what the form sends."""
    page = Page(service.model_name, service.tagger.labels.names, service.limits)

    @app.get("/", include_in_schema=False)
    async def form() -> Response:
        return HTMLResponse(page.html(), headers=HEADERS)

    @app.post("/", include_in_schema=False)
    async def labelled(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        # Forms send line ends as CR LF, whatever was typed.
        text = fields.get("text", [""])[0].replace("\r\n", "\n")
        if len(text) > service.limits.max_length:
            problem = f"The text has {len(text):,} characters, more than {service.limits.max_length:,}."
            return HTMLResponse(page.html(text=text, problem=problem), 422, HEADERS)
        begun = time.perf_counter()
        try:
            (tagged,) = await service.tag(text)
        except (Busy, Closed, Abandoned, WorkFailed) as error:
            status, detail, headers = _refusal(error)
            return HTMLResponse(page.html(text=text, problem=detail), status, {**HEADERS, **headers})
        shown = Shown(tagged, time.perf_counter() - begun)
        return HTMLResponse(await asyncio.to_thread(page.html, text=text, shown=shown), headers=HEADERS)


def add_health(app: FastAPI, service: Service) -> None:
    """GET /health and /metrics."""

    @app.get(
        "/health",
        summary="Whether the server answers",
        response_model=Health,
        responses={503: {"model": Health, "description": "The model has worked on one batch for too long."}},
    )
    async def health(response: Response) -> Health:
        """Asked by whoever keeps the server running. It answers when the model is loaded and warm."""
        response.status_code = 503 if service.is_stuck else 200
        return Health(
            status="stuck" if service.is_stuck else "ready",
            model=service.model_name,
            version=__version__,
            labels=list(service.tagger.labels.names),
            waiting_texts=service.n_waiting,
        )

    @app.get(
        "/metrics",
        summary="Counts for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Requests, texts, batches and times, in Prometheus's text format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _refusal(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, message and headers for a request that got no prediction."""
    if isinstance(error, Busy):
        return 503, str(error), {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Closed):
        return 503, "the server is stopping", {"Retry-After": "5"}
    if isinstance(error, Abandoned):
        return 504, "no answer in time", {"Retry-After": "1"}
    if isinstance(error, UserError):
        return 422, str(error), {}
    return 500, "the model failed on this request; the server's log says where", {}


async def _unprocessable(request: Request, error: Exception) -> Response:
    """The problems with a body in a line; FastAPI's own answer repeats the body."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": problem_of(error.errors())}, 422)


async def _unreadable(request: Request, error: Exception) -> Response:
    """What no JSON reader gets through."""
    return JSONResponse({"detail": "the body: no UTF-8, or nested too deeply"}, 400)


async def _failed(request: Request, error: Exception) -> Response:
    """Whatever else is raised, which the gate then logs."""
    return JSONResponse({"detail": "the server failed; its log says where"}, 500)
