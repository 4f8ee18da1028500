"""The OpenAPI document as a page to read, without scripts and without anything from elsewhere."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from markupsafe import Markup


def docs_page(document: dict[str, Any]) -> bytes:
    """The page.

    :param document: an OpenAPI document
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)
    environment.filters["prose"] = _prose
    schemas = document["components"]["schemas"]
    return (
        environment.get_template("docs.html")
        .render(
            document=document,
            by_tag=_by_tag(document),
            schemas={name: orjson.dumps(shape, option=orjson.OPT_INDENT_2).decode() for name, shape in schemas.items()},
        )
        .encode()
    )


def _prose(text: str) -> "Markup":
    """Plain text with `code` set as code; all else is escaped."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _by_tag(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            success = next(iter(operation["responses"].values()))
            shown = {
                **operation,
                "method": method.upper(),
                "path": path,
                "takes": _model(operation.get("requestBody", {})),
                "returns": _model(success),
            }
            found.setdefault(operation["tags"][0], []).append(shown)
    return found


def _model(part: dict[str, Any]) -> str:
    schema = part.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]
