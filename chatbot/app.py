"""The application: page, health, assets and limits, assembled into one ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from chatbot import backends, page, rendering
from chatbot.answers import Answerer
from chatbot.backends.base import Backend
from chatbot.guard import Guard
from chatbot.metrics import Metrics
from chatbot.readiness import Readiness
from chatbot.responses import Page
from chatbot.settings import Settings
from chatbot.theme import theme


@dataclass(frozen=True)
class Application:
    """What the server runs, and the parts that it has to know of."""

    asgi: Guard
    metrics: Metrics
    answerer: Answerer


def create(settings: Settings, backend: Backend | None = None) -> Application:
    """The application for these settings; a backend is given by tests only."""
    backend = backend or backends.create(settings)
    metrics = Metrics()
    answerer = Answerer(backend, settings, metrics)
    readiness = Readiness(backend)
    answerer.told = readiness.hear
    metrics.gauges = {
        "chatbot_answers_running": lambda: answerer.gate.running,
        "chatbot_answers_waiting": lambda: answerer.gate.waiting,
        "chatbot_ready": lambda: int(readiness.ready),
    }

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        watching = asyncio.create_task(readiness.watch())
        yield
        watching.cancel()
        await backend.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.router.routes.extend(_own_routes(readiness))
    blocks = page.build(answerer)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=theme(),
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        favicon_path=str(page.ASSETS / "favicon.svg"),
    )
    return Application(
        Guard(app, settings, metrics, Page(page.START, page.head(settings), tuple(blocks.fns))), metrics, answerer
    )


class _Assets(StaticFiles):
    """The page's scripts; revalidated at every load, so that a new release never meets an old script."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def _script(script: rendering.Script) -> Route:
    """In Gradio's place; its name says nothing of our part in it, so it is revalidated."""
    headers = {"etag": script.etag, "cache-control": "no-cache"}

    async def serve(request: Request) -> Response:
        if request.headers.get("if-none-match") == script.etag:
            return Response(status_code=304, headers=headers)
        return Response(script.body, media_type="text/javascript", headers=headers)

    return Route(f"/assets/{script.name}", serve, methods=["GET", "HEAD"])


def _own_routes(readiness: Readiness) -> list[Any]:
    async def healthz(_: object) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: object) -> Response:
        return JSONResponse(readiness.public(), status_code=200 if readiness.ready else 503)

    return [
        Route("/healthz", healthz, methods=["GET", "HEAD"]),
        Route("/readyz", readyz, methods=["GET", "HEAD"]),
        *map(_script, rendering.scripts()),
        Mount("/page", _Assets(directory=page.ASSETS), name="page-assets"),
    ]
