"""Policy expressions: C# on Azure, and for each that our policies use one Python function here.

The list is closed. An expression that is not in it is an error at start, so that nothing is deployed that was not
executed in a test. Expressions are compared without regard to white space.
https://learn.microsoft.com/azure/api-management/api-management-policy-expressions
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from local.host.gateway.context import Context, ProxyError, Token

type Getter = Callable[[Context], Any]

_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_TEXT: Final = re.compile(r'(@?"(?:[^"\\]|\\.)*")')
_SPACE: Final = re.compile(r" (?=\W)|(?<=\W) ")
_BEARER: Final = "bearer tsk_"
_SERVICE_KEY: Final = re.compile(r"(?i:bearer) (tsk_[a-z2-7]{26})_[a-z2-7]{59}")
_RETRIED: Final = frozenset({502, 503, 504})
_CODES: Final = {
    401: "token-refused",
    403: "caller-refused",
    404: "not-found",
    413: "body-too-large",
    429: "too-many-requests",
    503: "dependency-unavailable",
}


def normal(expression: str) -> str:
    """An expression as the list has it: without the white space that means nothing, which in texts it does."""
    parts = _TEXT.split(expression)  # every other one is a text in quotes
    return "".join(
        part if at % 2 else _SPACE.sub("", re.sub(r"\s+", " ", part)).strip() for at, part in enumerate(parts)
    )


def _correlation_id(context: Context) -> str:
    given = context.request.headers.get("x-correlation-id")
    if given is not None and _WELL_FORMED.fullmatch(given):
        return given
    return context.request_id


def _kept_id(context: Context) -> str:
    """The correlation id; the request's own id where it failed before it had one."""
    found: str | None = context.variables.get("correlation-id")
    return context.request_id if found is None else found


def _is_service_key(context: Context) -> bool:
    given = context.request.headers.get("authorization")
    return given is not None and given[:11].lower() == _BEARER


def _by_person(context: Context) -> str:
    token: Token = context.variables["token"]
    return f"person:{token.issuer} {token.subject}"


def _by_service_key(context: Context) -> str:
    """By the public id; what is no key shares one counter, which never counts, as the function refuses it."""
    found = _SERVICE_KEY.fullmatch(context.request.headers.get("authorization", ""))
    return f"key:{found[1] if found else ''}"


def _worth_another_try(context: Context) -> bool:
    return (
        context.request.method == "GET"
        and context.status in _RETRIED
        and context.response_header(b"retry-after") is None
    )


def _error(context: Context) -> ProxyError:
    assert context.error is not None, "only on-error asks for the error"
    return context.error


def _error_status(context: Context) -> int:
    error = _error(context)
    return 413 if error.source == "validate-content" else error.status


def _problem(context: Context) -> bytes:
    error, status = _error(context), _error_status(context)
    code = _CODES.get(status, "gateway-error")
    return orjson.dumps(
        {
            "type": f"urn:tessera:problem:{code}",
            "title": code.replace("-", " ").capitalize(),
            "status": status,
            "detail": error.message if status < 500 else "The gateway cannot answer just now; try again soon.",
            "reason": error.reason,
            "correlation_id": _kept_id(context),
        }
    )


def _context_asked(context: Context) -> str:
    """The bounded context of the function, by which its backend is called. Operations have their function's name."""
    function = context.request.match.function
    return "" if function is None else function.name.partition("_")[0]


_LISTED: Final[Mapping[str, Getter]] = {
    # --- the request
    "@(context.Operation.Id.Split('-')[0])": _context_asked,
    """@{
        var given = context.Request.Headers.GetValueOrDefault("X-Correlation-Id", "");
        return Regex.IsMatch(given, "^[A-Za-z0-9._-]{8,64}$") ? given : context.RequestId.ToString("N");
    }""": _correlation_id,
    '@(context.Variables.GetValueOrDefault<string>("correlation-id", context.RequestId.ToString("N")))': _kept_id,
    '@(context.Request.Headers.GetValueOrDefault("Authorization", ""))': lambda context: context.request.headers.get(
        "authorization", ""
    ),
    '@("Bearer " + (string)context.Variables["backend-token"])': lambda context: (
        f"Bearer {context.variables['backend-token']}"
    ),
    """@((string)context.Variables["open"] == "true" && !context.Request.Headers.ContainsKey("Authorization"))""": (
        lambda context: context.variables["open"] == "true" and "authorization" not in context.request.headers
    ),
    """@(context.Request.Headers.GetValueOrDefault("Authorization", "")
        .StartsWith("Bearer tsk_", StringComparison.OrdinalIgnoreCase))""": _is_service_key,
    """@(!context.Request.Headers.GetValueOrDefault("Authorization", "")
        .StartsWith("Bearer tsk_", StringComparison.OrdinalIgnoreCase))""": lambda context: (
        not _is_service_key(context)
    ),
    # --- whose counter
    '@("refused:" + context.Request.IpAddress)': lambda context: f"refused:{context.address}",
    '@("address:" + context.Request.IpAddress)': lambda context: f"address:{context.address}",
    '@("webhook:" + context.Request.IpAddress)': lambda context: f"webhook:{context.address}",
    '@("private:" + context.Request.IpAddress)': lambda context: f"private:{context.address}",
    """@("key:" + Regex.Match(context.Request.Headers.GetValueOrDefault("Authorization", ""),
        "^(?i:bearer) (tsk_[a-z2-7]{26})_[a-z2-7]{59}$").Groups[1].Value)""": _by_service_key,
    """@("person:" + ((Jwt)context.Variables["token"]).Issuer + " " + ((Jwt)context.Variables["token"]).Subject)""": (
        _by_person
    ),
    # --- the answer
    """@(context.Response.StatusCode != 401 && context.Response.StatusCode != 413
        && context.Response.StatusCode != 429)""": lambda context: context.status not in {401, 413, 429},
    """@(context.Response.StatusCode == 401 && context.Request.Headers.ContainsKey("Authorization"))""": (
        lambda context: context.status == 401 and "authorization" in context.request.headers
    ),
    "@(context.Response.StatusCode == 401)": lambda context: context.status == 401,
    """@(context.Request.Method == "GET" && (context.Response.StatusCode == 502
        || context.Response.StatusCode == 503 || context.Response.StatusCode == 504)
        && !context.Response.Headers.ContainsKey("Retry-After"))""": (_worth_another_try),
    # --- errors
    "@(context.Response.StatusCode == 429 || context.Response.StatusCode == 503)": lambda context: (
        context.status in {429, 503}
    ),
    "@(context.Response.StatusCode)": lambda context: context.status,
    '@(Convert.ToString(context.Variables.ContainsKey("retry-after") ? context.Variables["retry-after"] : 5))': (
        lambda context: str(context.variables.get("retry-after", 5))
    ),
    '@(context.LastError.Source == "validate-content" ? 413 : context.Response.StatusCode)': _error_status,
    "@(context.Response.StatusReason)": lambda context: HTTPStatus(context.status).phrase,
    '@(context.LastError.Source == "validate-content" ? "Content Too Large" : context.Response.StatusReason)': (
        lambda context: HTTPStatus(_error_status(context)).phrase
    ),
    """@{
        var status = context.LastError.Source == "validate-content" ? 413 : context.Response.StatusCode;
        var codes = new Dictionary<int, string> {
            { 401, "token-refused" }, { 403, "caller-refused" }, { 404, "not-found" }, { 413, "body-too-large" },
            { 429, "too-many-requests" }, { 503, "dependency-unavailable" }
        };
        var code = codes.ContainsKey(status) ? codes[status] : "gateway-error";
        return new JObject(
            new JProperty("type", "urn:tessera:problem:" + code),
            new JProperty("title", code.Substring(0, 1).ToUpper() + code.Substring(1).Replace("-", " ")),
            new JProperty("status", status),
            new JProperty("detail", status < 500 ? context.LastError.Message
                : "The gateway cannot answer just now; try again soon."),
            new JProperty("reason", context.LastError.Reason),
            new JProperty("correlation_id", context.Variables.GetValueOrDefault<string>("correlation-id",
                context.RequestId.ToString("N")))
        ).ToString();
    }""": _problem,
}
EXPRESSIONS: Final[Mapping[str, Getter]] = {normal(text): function for text, function in _LISTED.items()}
assert len(EXPRESSIONS) == len(_LISTED), "an expression is listed twice"
