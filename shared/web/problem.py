"""Problem details (RFC 9457): what every refusal and every failure looks like to a client."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import orjson
from pydantic import BaseModel, Field, ValidationError

from shared.kernel.errors import DomainError, Kind

STATUS: Final[Mapping[Kind, int]] = {
    Kind.MALFORMED: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 412,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.UNPROCESSABLE: 422,
    Kind.CONTENDED: 503,
    Kind.UNAVAILABLE: 503,
}
assert STATUS.keys() == set(Kind), "a kind without a status does not import"

MEDIA_TYPE: Final = "application/problem+json"
_RULES: Final = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "pattern": "must match {}",
    "expected": "{}",
}
_MOMENT: Final = "a moment with its offset, e.g. 2026-05-01T18:00:00Z; in a query a plus is written %2B"
_ALLOWED: Final = {
    "bool_parsing": "true or false",
    "int_parsing": "a whole number",
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": _MOMENT,
}
ERRORS_MAX: Final = 20  # a hostile body can break a thousand rules; the first ones tell enough
FIELD_CHARACTERS_MAX: Final = 200  # unknown fields are named by the client, at any length


class FieldProblem(BaseModel):
    """One field that breaks a rule."""

    field: str = Field(description="where, dotted, e.g. `lines.0.quantity`")
    reason: str
    allowed: str = Field(default="", description="what would be accepted, where it can be said")


class Problem(BaseModel):
    """A problem document; further members carry the facts of the refusal."""

    type: str = Field(examples=["urn:tessera:problem:pool-short"])
    title: str
    status: int
    detail: str
    correlation_id: str = Field(description="quote this when you ask for help")
    errors: list[FieldProblem] = Field(default_factory=list)


def problem_body(
    *, code: str, status: int, detail: str, correlation_id: str, members: Mapping[str, Any] | None = None
) -> bytes:
    """The document as JSON; `members` are added beside the standard ones and cannot replace them."""
    document = {
        **(members or {}),
        "type": f"urn:tessera:problem:{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "correlation_id": correlation_id,
    }
    return orjson.dumps(document)


class RequestRefused(DomainError):
    """The request breaks the rules of its fields; `errors` names each one."""

    kind = Kind.MALFORMED

    @classmethod
    def of(cls, error: ValidationError, *, part: str) -> Self:
        """From pydantic's findings; `part` is `body` or `query`."""
        found = error.errors(include_url=False, include_input=False)
        problems = [_field_problem(item) for item in found[:ERRORS_MAX]]
        named = ", ".join(sorted({problem["field"] for problem in problems if problem["field"]}))
        return cls(f"The {part} is not acceptable{f': look at {named}' if named else ''}.", errors=problems)


def _field_problem(item: Mapping[str, Any]) -> dict[str, str]:
    context: Mapping[str, Any] = item.get("ctx", {})
    allowed = [_RULES[rule].format(value) for rule, value in context.items() if rule in _RULES]
    reason = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return {"field": _dotted(item["loc"]), "reason": "unknown field", "allowed": "only documented fields"}
    return {
        "field": _dotted(item["loc"]),
        "reason": reason,
        "allowed": "; ".join(allowed) or _ALLOWED.get(item["type"], ""),
    }


def _dotted(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location)[:FIELD_CHARACTERS_MAX]
