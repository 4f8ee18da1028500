"""The OpenAPI document as a page to read, without scripts and without anything from elsewhere."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from markupsafe import Markup


_BOUNDS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}


def docs_page(document: dict[str, Any]) -> bytes:
    """The page.

    :param document: an OpenAPI document
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)
    schemas = document["components"]["schemas"]
    environment.filters["prose"] = _prose
    environment.filters["rules"] = partial(_rules, schemas=schemas)
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


def _rules(parameter: Mapping[str, Any], *, schemas: Mapping[str, Any]) -> str:
    """What a parameter is for and what it may be: its description, values, bounds and default, as one line of prose."""
    own = parameter["schema"]
    told = [parameter.get("description", "")]
    for shape in _shapes(own, schemas):
        values = [f"`{value}`" for value in shape.get("enum", [shape["const"]] if "const" in shape else [])]
        told += [f"one of {', '.join(values)}"] if values else []
        told += [text.format(shape[key]) for key, text in _BOUNDS.items() if key in shape]
    if own.get("default") not in {None, ""}:
        told.append(f"default `{_json(own['default'])}`")
    return "; ".join(part for part in told if part)


def _shapes(shape: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schema and those it refers to or chooses from."""
    yield shape
    if "$ref" in shape:
        yield from _shapes(schemas[shape["$ref"].rpartition("/")[2]], schemas)
    for part in shape.get("anyOf", ()):
        yield from _shapes(part, schemas)


def _json(value: object) -> str:
    """As a client writes it in a query: no quotes, and `true` and `false` as in JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


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
