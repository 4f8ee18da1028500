"""Pages a launcher mounts beside the functions."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def _home(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("welcome")


async def _broken(_request: Request) -> PlainTextResponse:
    raise RuntimeError("the secret inside")


pages = Starlette(routes=[Route("/", _home), Route("/broken", _broken)])
