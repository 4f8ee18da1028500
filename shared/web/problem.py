"""Problem details (RFC 9457): what every refusal and every failure looks like to a client."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import orjson
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import PydanticCustomError

from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import ID_PATTERN

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
    "expected": "{}",
}
_MOMENT: Final = "a moment with its offset, e.g. 2026-05-01T18:00:00Z; in a query a plus is written %2B"
_WHOLE: Final = "a whole number"
_OBJECT: Final = "a JSON object"
_FLAG: Final = "true or false"
_ALLOWED: Final = {
    "missing": "a value: it cannot be left out",
    "extra_forbidden": "only documented fields",
    "bool_parsing": _FLAG,
    "bool_type": f"{_FLAG}, without quotes",
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "int_type": f"{_WHOLE}, without quotes",
    "string_type": "a text in quotes",
    "string_unicode": "a text in UTF-8",
    "list_type": "a list",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "json_invalid": "JSON (RFC 8259) in UTF-8",
    "datetime_type": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": _MOMENT,
}
_FORMS: Final = {ID_PATTERN: "an id as the API gave it, e.g. evt_…"}
ERRORS_MAX: Final = 20  # a hostile body can break a thousand rules; the first ones tell enough
FIELD_CHARACTERS_MAX: Final = 200  # unknown fields are named by the client, at any length


def form(pattern: str, words: str) -> str:
    """`pattern` itself, for a field whose refusals say in words what it asks for.

    :param words: what is accepted, e.g. `two capital letters`
    """
    _FORMS[pattern] = words
    return pattern


def rule_broken(reason: str, allowed: str) -> PydanticCustomError:
    """What a validator raises, so that the problem document names both."""
    return PydanticCustomError("rule", "{reason}", {"reason": reason, "expected": allowed})


class FieldProblem(BaseModel):
    """One field that breaks a rule."""

    field: str = Field(description="where, dotted, e.g. `lines.0.quantity`")
    reason: str
    allowed: str = Field(default="", description="what would be accepted; left out where it cannot be said")


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
        found = error.errors(include_url=False)
        problems = [_field_problem(item) for item in found[:ERRORS_MAX]]
        named = ", ".join(sorted({problem["field"] for problem in problems if problem["field"]}))
        return cls(f"The {part} is not acceptable{f': look at {named}' if named else ''}.", errors=problems)


def _field_problem(item: Mapping[str, Any]) -> dict[str, str]:
    reason, allowed = _reason_and_allowed(item)
    told = {"field": _dotted(item["loc"]), "reason": reason}
    return {**told, "allowed": allowed} if allowed else told


def _reason_and_allowed(item: Mapping[str, Any]) -> tuple[str, str]:
    context: Mapping[str, Any] = item.get("ctx", {})
    match item["type"]:
        case "extra_forbidden":
            return "unknown field", _ALLOWED["extra_forbidden"]
        case "string_pattern_mismatch":
            pattern = context["pattern"]
            return "does not have the form that is asked for", _FORMS.get(pattern, f"must match {pattern}")
        case "literal_error" | "enum":
            return _not_one_of(str(context["expected"]), item["input"])
    allowed = [_RULES[rule].format(value) for rule, value in context.items() if rule in _RULES]
    reason = str(item["msg"]).removeprefix("Value error, ")
    return reason, "; ".join(allowed) or _ALLOWED.get(item["type"], "")


def _not_one_of(expected: str, given: object) -> tuple[str, str]:
    """The values there are stand in `allowed` alone; whoever only missed the case is told the one that was meant."""
    values = re.findall(r"'([^']*)'", expected)
    meant = [value for value in values if isinstance(given, str) and value.casefold() == given.casefold()]
    if not meant:
        return "is none of the values there are", " or ".join(filter(None, [", ".join(values[:-1]), *values[-1:]]))
    return f"must be in {'upper' if meant[0].isupper() else 'lower'} case", meant[0]


def _dotted(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location)[:FIELD_CHARACTERS_MAX]
