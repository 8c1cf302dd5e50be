"""The web application: console and API in one process, role countersign_api."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from api import (
    audit_pages,
    buying_pages,
    chat,
    console,
    document_pages,
    events,
    figures,
    model_pages,
    order_entry,
    order_pages,
    people_pages,
    policy_pages,
    queue_pages,
    record_pages,
    setup_pages,
    v1,
)  # fmt: skip
from api.access import caller
from api.ears import Ears
from api.errors import body_of, status_of
from api.limits import Bucket
from erp_core import clock, db, settings
from erp_core.actions import requests
from erp_core.errors import CountersignError, NotAuthorised, NotFound
from erp_core.queries import desk

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
LARGEST_BODY, LARGEST_IMPORT = 2_000_000, 200_000_000


class Metrics:
    """Counts since the process started."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds = 0.0

    def text(self) -> str:
        """In the Prometheus text format."""
        lines = ["# TYPE countersign_requests_total counter"]
        for (method, status), count in sorted(self.requests.items()):
            lines.append(f'countersign_requests_total{{method="{method}",status="{status}"}} {count}')
        lines += [
            "# TYPE countersign_request_seconds_total counter",
            f"countersign_request_seconds_total {self.seconds:.3f}",
        ]
        return "\n".join(lines) + "\n"


@asynccontextmanager
async def _started(app: FastAPI) -> AsyncIterator[None]:
    with db.reading(db.API):
        pass  # refuses to start under any other role
    gc.collect()
    gc.freeze()  # what is loaded by now stays: the collector need not look through it while somebody waits for a page
    yield
    gc.unfreeze()
    app.state.ears.close()


def make_app() -> FastAPI:
    """The application; connects at the first request of its life, as the right role or not at all."""
    app = FastAPI(title="Countersign", version="0.1.0", docs_url=None, redoc_url=None, lifespan=_started)
    metrics = Metrics()
    app.state.metrics = metrics
    config = settings.load()
    app.state.ears = Ears()
    app.state.signins = Bucket(config.signins_per_minute, "tries to sign in")
    app.state.requests = Bucket(config.requests_per_minute, "requests")
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    app.include_router(v1.router)
    app.include_router(events.router)
    app.include_router(chat.interface)
    app.include_router(chat.router)
    app.include_router(queue_pages.router)
    app.include_router(console.router)
    app.include_router(document_pages.router)
    app.include_router(record_pages.router)
    app.include_router(setup_pages.router)
    app.include_router(order_entry.router)
    app.include_router(order_pages.router)
    app.include_router(buying_pages.router)
    app.include_router(buying_pages.interface)
    app.include_router(figures.router)
    app.include_router(audit_pages.router)
    app.include_router(people_pages.router)
    app.include_router(policy_pages.router)
    app.include_router(policy_pages.interface)
    app.include_router(model_pages.router)
    app.include_router(model_pages.interface)
    app.include_router(figures.interface)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        length = request.headers.get("content-length", "0")
        most = LARGEST_IMPORT if request.url.path == "/setup/import" else LARGEST_BODY
        too_large = not length.isdigit() or int(length) > most
        answer: Response = (
            PlainTextResponse("The request is too large.", 413) if too_large else await call_next(request)
        )
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "same-origin"
        if not request.url.path.startswith("/static"):
            answer.headers["Cache-Control"] = "no-store"
        metrics.requests[(request.method, answer.status_code)] += 1
        metrics.seconds += time.perf_counter() - started
        return answer

    @app.exception_handler(CountersignError)
    def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, CountersignError)
        _note(request, error)
        return _refusal(request, error)

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404 and not request.url.path.startswith(("/api/", "/static/")):
            return await run_in_threadpool(_refusal, request, NotFound(f"There is no page {request.url.path}."))
        return await http_exception_handler(request, error)

    @app.exception_handler(RequestValidationError)
    async def not_readable(request: Request, error: RequestValidationError) -> Response:
        if request.url.path.startswith("/api/"):
            return await request_validation_exception_handler(request, error)
        first = error.errors()[0]
        place = " ".join(str(part) for part in first["loc"][1:]) or "the form"
        return await run_in_threadpool(
            _refusal, request, NotFound(f"This cannot be read: {place}: {first['msg'].lower()}.")
        )

    @app.exception_handler(db.Refused)
    async def refuse_data(request: Request, error: Exception) -> Response:
        if db.passing(error):
            return JSONResponse(
                {"error": "Conflict", "text": "Others work on the same records; send it again."}, status_code=409
            )
        text = str(getattr(error, "orig", error)).split("\n")[0]
        return JSONResponse({"error": "Refused", "text": f"The database refuses this input: {text}"}, status_code=422)

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> PlainTextResponse:
        with db.reading(db.API) as session:
            desk.queue_counts(session, clock.now(session))
        return PlainTextResponse("ready\n")

    @app.get("/metrics", include_in_schema=False)
    def show_metrics() -> PlainTextResponse:
        return PlainTextResponse(metrics.text())

    return app


def _note(request: Request, error: CountersignError) -> None:
    """Whoever is signed in and tries what the person may not, leaves an entry in the journal."""
    if request.method in ("GET", "HEAD"):
        return
    with db.transaction(db.API) as session:
        try:
            me = caller(request, session)
        except CountersignError:
            return
        what = f"{request.method} {request.url.path}"
        requests.note_refusal(session, what, error, actor=me.person.email, now=me.now)


def _refusal(request: Request, error: CountersignError) -> Response:
    """JSON for the API; a page, or the sign-in form, for the console."""
    path = request.url.path
    if path.startswith("/api/"):
        signed_in = str(error) != "Sign in first."
        return JSONResponse(body_of(error), status_code=status_of(error) if signed_in else 401)
    if isinstance(error, NotAuthorised) and str(error) == "Sign in first.":
        wish = path if request.method == "GET" else "/"
        if request.headers.get("hx-request"):
            return Response(status_code=204, headers={"HX-Redirect": "/signin"})
        return RedirectResponse(f"/signin?next={quote(wish)}", status_code=303)
    with db.transaction(db.API) as session:
        try:
            me = caller(request, session)
        except NotAuthorised:
            if path.startswith("/portal"):
                return RedirectResponse("/chat?to=portal", status_code=303)
            return RedirectResponse(f"/signin?next={quote(path)}", status_code=303)
        heading = "Not possible" if status_of(error) != 404 else "Not found"
        return console.page(
            "error.html", me, session, status=status_of(error), heading=heading, text=str(error), current=""
        )
