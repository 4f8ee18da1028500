"""Answers all emulators give: JSON quickly, pages from templates, refusals of their control endpoints."""

from pathlib import Path
from typing import Any

import orjson
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

Json = dict[str, Any]
_SHARED_TEMPLATES = Path(__file__).parent / "templates"


class Control(BaseModel):
    """What a control endpoint accepts: nothing it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def json_reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`value` as JSON."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


async def read_control[C: Control](request: Request, model: type[C]) -> C:
    """The request's JSON body as `model`; an empty body is an empty object.

    :raises HTTPException: 400, naming each wrong member
    """
    try:
        return model.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise HTTPException(400, wrong) from None


async def refuse_control(_: Request, error: Exception) -> Response:
    """The answer to a control request that was refused."""
    assert isinstance(error, HTTPException)
    return json_reply({"error": error.detail}, error.status_code)


class Pages:
    """An emulator's templates over the shared ones; values are escaped, missing ones are errors."""

    def __init__(self, templates: Path) -> None:
        """Find templates in `templates` first."""
        self.environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(templates), FileSystemLoader(_SHARED_TEMPLATES)]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page."""
        return HTMLResponse(
            self.environment.get_template(template).render(values),
            status,
            {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"},
        )
