"""The local front door: pages of the laptop, not of the product; they lead to docs, mailbox and demo people."""

import json
import os
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)


async def home(_request: Request) -> HTMLResponse:
    """`/`"""
    data = Path(os.environ.get("TESSERA_DATA", ".tessera"))
    people = data / "entra" / "people.json"
    return HTMLResponse(
        _TEMPLATES.get_template("home.html").render(
            store="Cosmos DB" if os.environ.get("TESSERA_STORE") == "cosmos" else "",
            bus="Service Bus" if os.environ.get("TESSERA_BUS") == "servicebus" else "",
            people=json.loads(people.read_text())["people"] if people.exists() else [],
            mailbox=os.environ.get("TESSERA_MAILBOX_URL", ""),
            stripe=os.environ.get("TESSERA_STRIPE_URL", ""),
            telemetry=os.environ.get("TESSERA_TELEMETRY_URL", ""),
            sign_in=os.environ.get("TESSERA_SIGN_IN_URL", ""),
        )
    )


async def signed_in(request: Request) -> HTMLResponse:
    """Where the sign-in page sends a browser back to, until there is a site."""
    return HTMLResponse(
        _TEMPLATES.get_template("signed_in.html").render(
            code=request.query_params.get("code", ""), error=request.query_params.get("error_description", "")
        )
    )


pages = Starlette(routes=[Route("/", home), Route("/signed-in", signed_in)])
