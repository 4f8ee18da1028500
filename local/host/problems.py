"""What the host itself answers when no function does: problem documents (RFC 9457) with a correlation id."""

import random
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import orjson

type Header = tuple[bytes, bytes]

CORRELATION_HEADER = "x-correlation-id"
_CONTENT: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
# What `infra/policies/global.xml` puts on every answer, for those that are given where no policy is executed.
SECURITY_HEADERS: Final[tuple[Header, ...]] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", _CONTENT),
    (b"referrer-policy", b"no-referrer"),
)
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")


def correlation_id_of(headers: Mapping[str, str]) -> str:
    """The caller's correlation id when it is well-formed, else a fresh one; never text we would not log."""
    given = headers.get(CORRELATION_HEADER, "")
    if _WELL_FORMED.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"


def problem(
    status: int, detail: str, correlation_id: str, extra: Sequence[Header] = ()
) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of a problem document."""
    body = orjson.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "correlation_id": correlation_id,
        }
    )
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (CORRELATION_HEADER.encode(), correlation_id.encode()),
        (b"cache-control", b"no-store"),
        *extra,
    ]
    return status, headers, body


def written(status: int, detail: str, correlation_id: str) -> bytes:
    """A problem as it goes over the wire, after which the connection ends."""
    _, headers, body = problem(status, detail, correlation_id, [*SECURITY_HEADERS, (b"connection", b"close")])
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, HTTPStatus(status).phrase.encode("ascii"), lines, body)
