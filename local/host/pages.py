"""Pages of the host itself, beside the functions: its status, and whatever the launcher mounts."""

import os
import time
from importlib import import_module

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from local.host.errors import StartRefused
from local.host.triggers import Functions

VERSION = "4.local"


def host_pages(functions: Functions, extra: Starlette | None) -> Starlette:
    """`/admin/host/status` and `/admin/functions`, as Azure's host has them, and the routes of `extra`."""
    started = time.monotonic()

    async def status(_request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "id": "tessera-local",
                "state": "Running",
                "version": VERSION,
                "processUptime": int((time.monotonic() - started) * 1000),
                "processId": os.getpid(),
            }
        )

    async def listing(_request: Request) -> JSONResponse:
        every = (*functions.http, *functions.queues, *functions.feeds, *functions.timers)
        return JSONResponse([{"name": each.name, "kind": type(each).__name__} for each in every])

    routes: list[BaseRoute] = [Route("/admin/host/status", status), Route("/admin/functions", listing)]
    return Starlette(routes=[*routes, *(extra.routes if extra else ())])


def load_pages(reference: str | None) -> Starlette | None:
    """The Starlette application at `module:attribute`.

    :raises StartRefused: there is none
    """
    if reference is None:
        return None
    module_name, _, attribute = reference.partition(":")
    try:
        pages = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise StartRefused(f"--pages {reference}: {error}") from None
    if not isinstance(pages, Starlette):
        raise StartRefused(f"--pages {reference}: not a Starlette application")
    return pages
