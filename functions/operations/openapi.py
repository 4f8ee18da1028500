"""The OpenAPI 3.1 document, drawn from the endpoints: pydantic writes the schemas, the specs say the rest."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.auth.permissions import GRANTS, Permission, Role
from shared.kernel.errors import DomainError
from shared.web.endpoint import BODY_BYTES_MAX, RAW_BODY_BYTES_MAX, EndpointSpec, Nothing
from shared.web.problem import MEDIA_TYPE, STATUS, Problem, RequestRefused

type Json = dict[str, Any]

_READS_QUERY: Final = frozenset({"GET", "DELETE"})
_REF: Final = "#/components/schemas/{model}"
_HEADER_TEXTS: Final = {
    "Idempotency-Key": "made up once per request, 1–128 visible characters; repeat it to repeat the request",
    "Stripe-Signature": "the provider's signature over the body",
}
_REQUIRED_HEADERS: Final = {("POST", "orders"), ("POST", "payments/stripe")}
_DESCRIPTION: Final = (
    "Sell and check in tickets. Every refusal is a problem document (RFC 9457) whose `correlation_id` is also the "
    "`X-Correlation-Id` response header; send your own (8–64 of `A-Za-z0-9._-`) to choose it. Money is in minor units. "
    "Before any endpoint is asked, the front may answer 400 (no HTTP), 408 (too slow), 414 (too long an address), 431 "
    "(too many headers) or 429 (too many requests at once)."
)


def openapi(specs: Sequence[EndpointSpec], *, server: str, prefix: str = "/api") -> Json:
    """The document.

    :param specs: every endpoint
    :param server: the base URL people reach us at
    """
    schemas = _schemas(specs)
    paths: dict[str, Json] = {}
    for spec in specs:
        paths.setdefault(f"{prefix}/{spec.route}", {})[spec.method.lower()] = _operation(spec, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tessera", "version": "1", "description": _DESCRIPTION},
        "servers": [{"url": server}],
        "tags": [{"name": name} for name in sorted({spec.context for spec in specs})],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "person": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "service": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "tsk_…",
                    "description": "a service key with the permission among its scopes",
                },
            },
        },
    }


def _schemas(specs: Iterable[EndpointSpec]) -> Json:
    models: set[type[BaseModel]] = {Problem}
    wanted: list[tuple[type[BaseModel], Any]] = [(Problem, "serialization")]
    for spec in specs:
        if spec.takes is not Nothing and spec.takes not in models and spec.method not in _READS_QUERY:
            models.add(spec.takes)
            wanted.append((spec.takes, "validation"))
        if spec.returns is not None and spec.returns not in models:
            models.add(spec.returns)
            wanted.append((spec.returns, "serialization"))
    _, document = models_json_schema(wanted, ref_template=_REF)
    schemas = dict(document["$defs"])
    for spec in specs:
        if spec.method in _READS_QUERY:
            schemas |= spec.takes.model_json_schema(ref_template=_REF).get("$defs", {})
    return schemas


def _operation(spec: EndpointSpec, schemas: Mapping[str, Any]) -> Json:
    operation: Json = {
        "operationId": spec.function,
        "tags": [spec.context],
        "summary": spec.summary,
        "description": f"{spec.description}\n\n{_needs(spec.needs)}".strip(),
        "parameters": _parameters(spec),
        "responses": _responses(spec),
        "security": _security(spec.needs),
        "x-needs": spec.needs.value,
    }
    if spec.within:
        operation["x-within"] = spec.within
    if spec.takes is not Nothing and spec.method not in _READS_QUERY:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(spec.takes)}},
        }
    return operation


def _needs(permission: Permission) -> str:
    if permission is Permission.PUBLIC:
        return "For everybody, signed in or not."
    grant = GRANTS[permission]
    roles = sorted(role.value for role in grant.platform)
    platform = "everybody who is signed in" if grant.platform == set(Role) else _listed(roles)
    who = [
        platform and f"on the platform: {platform}",
        grant.organiser and f"in an organiser: {_listed(sorted(role.value for role in grant.organiser))}",
        grant.service and "service keys with that scope",
    ]
    return f"Needs the permission `{permission}` ({'; '.join(each for each in who if each)})."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _parameters(spec: EndpointSpec) -> list[Json]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", spec.route)
    ]
    headers = [
        {
            "name": name,
            "in": "header",
            "required": (spec.method, spec.route) in _REQUIRED_HEADERS,
            "description": _HEADER_TEXTS[name],
            "schema": {"type": "string", "minLength": 1, "maxLength": 128}
            if name == "Idempotency-Key"
            else {"type": "string"},
        }
        for name in spec.headers
    ]
    return [*path, *headers, *_query(spec)]


def _query(spec: EndpointSpec) -> list[Json]:
    if spec.takes is Nothing or spec.method not in _READS_QUERY:
        return []
    schema = spec.takes.model_json_schema(ref_template=_REF)
    required = set(schema.get("required", ()))
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": shape.pop("description", ""),
            "schema": shape,
        }
        for name, shape in schema["properties"].items()
    ]


def _responses(spec: EndpointSpec) -> Json:
    answers: Json = {str(spec.status if spec.returns or spec.media_type != "application/json" else 204): _success(spec)}
    for status, named in sorted(_refusals(spec).items()):
        answers[str(status)] = {
            "description": " ".join(f"{text[0].upper()}{text[1:].removesuffix('.')}." for text in sorted(named)),
            "headers": _correlation(),
            "content": {MEDIA_TYPE: {"schema": _ref(Problem)}},
        }
    return answers


def _success(spec: EndpointSpec) -> Json:
    answer: Json = {"description": spec.summary, "headers": _correlation()}
    if spec.returns is not None:
        answer["content"] = {"application/json": {"schema": _ref(spec.returns)}}
    elif spec.media_type != "application/json":
        answer["content"] = {spec.media_type: {"schema": _shape(spec.media_type)}}
    return answer


def _shape(media_type: str) -> Json:
    """The schema of an answer that is no model: JSON of its own making, a text, or bytes."""
    if media_type.startswith("application/json"):
        return {"type": "object"}
    is_text = media_type.startswith("text/") or media_type.endswith("+xml")
    return {"type": "string"} if is_text else {"contentMediaType": media_type}


def _refusals(spec: EndpointSpec) -> dict[int, set[str]]:
    """Status → problems, in words: what the use case refuses, and what every endpoint of this kind can."""
    found: dict[int, set[str]] = {
        429: {"too many requests: `Retry-After` says when to come again"},
        500: {"a bug: nothing was changed halfway"},
        503: {"something is busy or away: repeat"},
    }
    for refusal in spec.refuses:
        found.setdefault(STATUS[refusal.kind], set()).add(_named(refusal))
    if spec.needs is not Permission.PUBLIC:
        found.setdefault(401, set()).add("no valid credential")
        private = not GRANTS[spec.needs].platform
        why = "the scope is missing, or from outside of our network" if private else "the permission is missing"
        found.setdefault(403, set()).add(why if private else f"{why}, or the account is disabled")
    reads_body = spec.takes is not Nothing and spec.method not in _READS_QUERY
    if reads_body or spec.method in _READS_QUERY:
        found.setdefault(400, set()).add(_named(RequestRefused))
    if spec.method in _READS_QUERY and spec.takes is not Nothing:
        found.setdefault(414, set()).add("the address is longer than the platform takes")
    if reads_body:
        found.setdefault(415, set()).add("not application/json, or compressed")
    if spec.method not in _READS_QUERY:
        limit = BODY_BYTES_MAX if reads_body else RAW_BODY_BYTES_MAX
        found.setdefault(413, set()).add(f"more than {limit} bytes, or than the gateway takes")
    if "{" in spec.route:
        found.setdefault(404, set()).add("no such thing")
    return found


def _named(refusal: type[DomainError]) -> str:
    first_line = (refusal.__doc__ or "").strip().partition("\n")[0]
    return f"`{refusal.code()}`: {first_line}"


def _security(needs: Permission) -> list[Json]:
    if needs is Permission.PUBLIC:
        return []
    grant = GRANTS[needs]
    people: list[Json] = [{"person": []}] if grant.platform else []
    return people + ([{"service": []}] if grant.service else [])


def _correlation() -> Json:
    return {"X-Correlation-Id": {"schema": {"type": "string"}}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}
