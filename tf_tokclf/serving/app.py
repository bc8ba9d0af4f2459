"""The HTTP application: /predict, /health, /metrics, and the pages / and /docs."""

# No `from __future__ import annotations`: FastAPI evaluates annotations, and one is a class created at run time.

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tf_tokclf.counted import counted
from tf_tokclf.errors import UserError
from tf_tokclf.serving.api_docs import ApiDocs
from tf_tokclf.serving.batching import Abandoned, Busy, Closed, WorkFailed
from tf_tokclf.serving.hosts import THIS_MACHINE, AllowedHosts
from tf_tokclf.serving.metrics import CONTENT_TYPE
from tf_tokclf.serving.middleware import Gate
from tf_tokclf.serving.page import HtmlPage, Page, Shown
from tf_tokclf.serving.schema import Health, Predictions, PredictOptions, Problem, problem_of, request_model
from tf_tokclf.serving.service import Service
from tf_tokclf.version import __version__

_PATHS = ("/", "/docs", "/predict", "/health", "/metrics", "/openapi.json")
_ABOUT = (
    "Every path may also respond with 400 if the Host is not allowed (--allowed-host), 408 if the request does not "
    "arrive in time, and 503 if too many connections are open. HEAD is supported wherever GET is."
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is not UTF-8 or is nested too deeply, or the Host is not allowed."},
    408: {"description": "The request did not arrive in time."},
    413: {"description": "The body is too large."},
    422: {"description": "The body is not JSON or does not match the schema."},
    500: {"description": "The model or the server failed on this request."},
    503: {
        "description": "Too many texts are waiting, or the server is stopping.",
        "headers": {"Retry-After": {"schema": {"type": "string"}, "description": "seconds to wait before a retry."}},
    },
    504: {"description": "The prediction was not ready in time."},
}


def create_app(service: Service, hosts: AllowedHosts = THIS_MACHINE) -> Gate:
    """The ASGI application that answers requests to `hosts` with `service`. It closes the service when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    # FastAPI's own pages /docs and /redoc load scripts from other servers.
    app = FastAPI(
        title="tf-tokclf",
        summary="A token classifier over HTTP.",
        description=_ABOUT,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        # A redirect would go to the host in the request. The gate treats `/health/` as `/health`.
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    add_predict(app, service)
    add_page(app, service)
    add_health(app, service)
    add_docs(app, service)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(400, _unreadable)
    app.add_exception_handler(Exception, _failed)
    app.add_exception_handler(404, _not_found)
    app.add_exception_handler(405, partial(_not_allowed, app))
    return Gate(app, service.limits, hosts, service.metrics, _PATHS)


def add_predict(app: FastAPI, service: Service) -> None:
    """POST /predict."""
    model = request_model(service.limits)

    @app.post(
        "/predict",
        summary="Label texts",
        response_model=Predictions,
        response_description="The predictions.",
        responses={status: {"model": Problem, **about} for status, about in _PROBLEMS.items()},
    )
    async def predict(request: Annotated[model, Body()]) -> Response:  # type: ignore[valid-type]
        """Label texts or lists of words. The response contains one prediction for each input, in order."""
        # The response is created here, because FastAPI would validate each one against the model.
        options: PredictOptions = request  # type: ignore[assignment]
        try:
            return JSONResponse({"predictions": await service.predict(request.inputs, options)})  # type: ignore[attr-defined]
        except (Busy, Closed, Abandoned, WorkFailed, UserError) as error:
            status, detail, headers = _refusal(error)
            return JSONResponse({"detail": detail}, status, headers)


def add_page(app: FastAPI, service: Service) -> None:
    """GET / shows a form, POST / the result."""
    page = Page(service.model_name, service.tagger.labels, service.limits)

    @app.get("/", include_in_schema=False)
    async def form() -> Response:
        return _html(page.render())

    @app.post("/", include_in_schema=False)
    async def labelled(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        # Forms always send line ends as CR LF.
        text = fields.get("text", [""])[0].replace("\r\n", "\n")
        if len(text) > service.limits.max_length:
            problem = f"The text has {counted(len(text), 'character')}; the limit is {service.limits.max_length:,}."
            return _html(page.render(text=text, problem=problem), 422)
        begun = time.perf_counter()
        try:
            (tagged,) = await service.tag(text)
        except (Busy, Closed, Abandoned, WorkFailed) as error:
            status, detail, headers = _refusal(error)
            return _html(page.render(text=text, problem=detail), status, headers)
        shown = Shown(tagged, time.perf_counter() - begun)
        return _html(await asyncio.to_thread(page.render, text=text, shown=shown))


def _html(page: HtmlPage, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return HTMLResponse(page.html, status, {**page.headers, **(headers or {})})


def add_docs(app: FastAPI, service: Service) -> None:
    """GET /docs."""
    docs = ApiDocs(app.openapi(), service.model_name)

    @app.get("/docs", include_in_schema=False)
    async def api(request: Request) -> Response:
        # The gate has removed a slash at the end of the path, but relative links on the page still depend on it.
        root = "../" if request.scope["raw_path"].endswith(b"/") else ""
        return _html(docs.render(origin=str(request.base_url).rstrip("/"), root=root))


def add_health(app: FastAPI, service: Service) -> None:
    """GET /health and /metrics."""

    @app.get(
        "/health",
        summary="Health of the server",
        response_model=Health,
        response_description="The model is ready.",
        responses={503: {"model": Health, "description": "The model is stuck in a batch, or has failed."}},
    )
    async def health(response: Response) -> Health:
        """For health checks. The server accepts connections when the model is ready."""
        status: Literal["ready", "stuck", "failed"]
        status = "failed" if service.failure else "stuck" if service.is_stuck else "ready"
        response.status_code = 200 if status == "ready" else 503
        return Health(
            status=status,
            model=service.model_name,
            version=__version__,
            labels=list(service.tagger.labels.names),
            waiting_texts=service.n_waiting,
        )

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        response_description="The metrics.",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Counts of requests, texts, batches and connections, and times, in Prometheus' text format."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _refusal(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, message and headers of the response to a request without a prediction."""
    if isinstance(error, Busy):
        return 503, str(error), {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, Closed):
        return 503, "the server is stopping", {"Retry-After": "5"}
    if isinstance(error, Abandoned):
        return 504, "the prediction was not ready in time", {"Retry-After": "1"}
    if isinstance(error, UserError):
        return 422, str(error), {}
    return 500, "the model failed on this request; see the server's log", {}


async def _unprocessable(request: Request, error: Exception) -> Response:
    """The problems with a body in one line. FastAPI's own response would repeat the body."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": problem_of(error.errors())}, 422)


async def _unreadable(request: Request, error: Exception) -> Response:
    """The response to a body that cannot be parsed."""
    problem = "the body is not UTF-8, is nested too deeply, or contains a number with too many digits"
    return JSONResponse({"detail": problem}, 400)


async def _failed(request: Request, error: Exception) -> Response:
    """The response to any other error, which the gate logs."""
    return JSONResponse({"detail": "the server failed; see its log"}, 500)


async def _not_found(request: Request, error: Exception) -> Response:
    """The response for a path that does not exist."""
    return JSONResponse({"detail": "there is no such path; /docs lists the paths"}, 404)


async def _not_allowed(app: FastAPI, request: Request, error: Exception) -> Response:
    """The response with the methods that the path supports. HEAD is supported wherever GET is."""
    routes = [route for route in app.routes if isinstance(route, Route) and route.path == request.scope["path"]]
    methods = {method for route in routes for method in route.methods or ()}
    allowed = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
    listed = ", ".join(allowed)
    detail = f"this path does not support {request.method}; it supports {listed}"
    return JSONResponse({"detail": detail}, 405, {"Allow": listed})
