"""HTTP in front of the functions: a plain ASGI application, because every request passes here.

What a function is given is what Azure's host gives the worker (GrpcMessageConversionExtensions.cs): repeated headers
and query parameters joined by commas, empty query parameters left out, the body as bytes. Keys are not checked, as
with `func start`.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.routing import Match as PageMatch

from local.host.answering import CYCLE, written_at_once
from local.host.problems import CORRELATION_HEADER, Header, correlation_id_of, problem
from local.host.request import Answer, BodyTooLarge, Disconnected, Receive, Request, Scope, Send, read_body
from local.host.routes import Match, Routes, decoded_path
from local.host.runtime import Datum, Outcome, Runtime
from local.host.settings import HttpLimits

log = logging.getLogger("local.host.http")


_NO_BODY = Datum(b"", "bytes")
_BODILESS = frozenset({204, 304})
_HOST_OWNED = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive"})
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110 section 5.6.2, in lower case
_NO_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNBOUNDED = 1 << 30
_OUR_FAULT = "Something went wrong on our side; it has been logged."
_BUSY_SECONDS = 1  # after which to come again when too many requests are outstanding


class Front:
    """What answers: the functions, the host itself, its pages. Also the ASGI application where there is no gateway.

    :param pages: host pages, asked when no function's route matches
    """

    def __init__(
        self, routes: Routes, runtime: Runtime, limits: HttpLimits, *, body_bytes_max: int, pages: Starlette
    ) -> None:
        self._routes = routes
        self._runtime = runtime
        self._pages = pages
        self._body_bytes_max = body_bytes_max
        self._outstanding = 0
        self._outstanding_max = limits.max_outstanding_requests if limits.max_outstanding_requests > 0 else _UNBOUNDED
        self._slots = asyncio.Semaphore(
            limits.max_concurrent_requests if limits.max_concurrent_requests > 0 else _UNBOUNDED
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; websockets are refused."""
        if scope["type"] != "http":
            await refused_protocol(send)
            return
        answer = await self.answer(self.request(scope, receive))
        if answer is not None:
            await sent(answer, scope, send)

    def request(self, scope: Scope, receive: Receive) -> Request:
        """What was asked, and for which function it is."""
        path = decoded_path(scope["raw_path"].split(b"?", 1)[0])
        return Request(scope, receive, path, self._routes.match(path, scope["method"]))

    async def answer(self, request: Request) -> Answer | None:
        """The answer, or nothing if the client left."""
        match, headers = request.match, request.headers
        if match.function is None and not match.allowed and self._is_page(request.scope):
            return await _page(self._pages, request)
        # As the gateway does on Azure: the function, its log lines and whatever the host answers share one id.
        if not request.correlated:
            headers[CORRELATION_HEADER] = correlation_id_of(headers)
        if match.function is None:
            return _unmatched(match, headers)
        if self._outstanding >= self._outstanding_max:
            again = [(b"retry-after", b"%d" % _BUSY_SECONDS)]
            return problem(429, "The host has too many requests outstanding.", correlation_id_of(headers), again)
        self._outstanding += 1
        try:
            return await self._answered(request)
        except Disconnected:
            return None
        finally:
            self._outstanding -= 1

    async def _answered(self, request: Request) -> Answer:
        match, headers = request.match, request.headers
        assert match.function is not None
        try:
            body = await read_body(request, self._body_bytes_max)
        except BodyTooLarge:
            return problem(413, f"The body exceeds {self._body_bytes_max} bytes.", correlation_id_of(headers))
        async with self._slots:
            outcome = await self._runtime.invoke(
                match.function,
                _request(request.scope, headers, match, Datum(body, "bytes") if body else _NO_BODY),
                {},
                correlation_id=headers[CORRELATION_HEADER],
                trace_parent=headers.get("traceparent", ""),
                trace_state=headers.get("tracestate", ""),
            )
        return _response(outcome, headers)

    def _is_page(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is PageMatch.FULL for route in self._pages.routes)


async def sent(answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer."""
    status, headers, body = answer
    cycle = scope.get(CYCLE)
    if cycle is not None and written_at_once(cycle, status, headers, body):
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refused_protocol(send: Send) -> None:
    """Close a websocket."""
    await send({"type": "websocket.close", "code": 1000})


async def _page(pages: Starlette, request: Request) -> Answer:
    """What a page of the host answers, whole: pages are small, and pass the gateway like any answer."""
    status, headers, parts = 500, list[Header](), list[bytes]()

    async def collect(message: MutableMapping[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], list(message["headers"])
        else:
            parts.append(message.get("body", b""))

    try:
        await pages(request.scope, request.receive, collect)
    except Exception:
        correlation_id = correlation_id_of(request.headers)
        log.exception("A page of the host failed", extra={"path": request.path, "correlation_id": correlation_id})
        return problem(500, _OUR_FAULT, correlation_id)
    return status, headers, b"".join(parts)


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    """The parameters of a query that have values; most need no decoding, which takes six times as long."""
    if "%" in text or "+" in text:
        return parse_qsl(text)
    cut = (part.partition("=") for part in text.split("&"))
    return [(name, value) for name, _, value in cut if value]


def _request(scope: Scope, headers: dict[str, str], match: Match, body: Datum) -> Datum:
    raw_query = scope["query_string"]
    query: dict[str, Datum] = {}
    url = f"{scope['scheme']}://{headers.get('host', '127.0.0.1')}{scope['path']}"
    if raw_query:
        text = raw_query.decode("latin-1")
        url = f"{url}?{text}"
        joined: dict[str, str] = {}
        for name, value in _pairs(text):
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        query = {name: Datum(value, "string") for name, value in joined.items()}
    return Datum(
        {
            "method": Datum(scope["method"], "string"),
            "url": Datum(url, "string"),
            "headers": {name: Datum(value, "string") for name, value in headers.items()},
            "params": {name: Datum(value, "string") for name, value in match.parameters.items()},
            "query": query,
            "body": body,
        },
        "http",
    )


def _response(outcome: Outcome, request_headers: dict[str, str]) -> Answer:
    error, trace = outcome.error, outcome.traceback
    if outcome.ok:
        try:
            return _shaped(outcome.value)
        except (ValueError, KeyError, AttributeError) as refused:
            error = f"the response cannot be sent: {refused!r}"
    correlation_id = correlation_id_of(request_headers)
    log.error(
        "Function %s failed: %s",
        outcome.invocation.function,
        error,
        extra={
            "function": outcome.invocation.function,
            "invocation_id": outcome.invocation.id,
            "correlation_id": correlation_id,
            "traceback": trace,
        },
    )
    return problem(500, _OUR_FAULT, correlation_id)


def _shaped(value: Datum | None) -> Answer:
    """The answer in a function's `$return` datum.

    :raises ValueError: a status or header HTTP cannot carry
    """
    if value is None or value.type is None:
        return 204, [], b""
    if value.type == "string":
        body = value.value.encode()
        return 200, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))], body
    parts = value.value
    status = int(parts["status_code"].value)
    if not 200 <= status <= 599:
        raise ValueError(f"status {status}")
    body = parts["body"].value
    if isinstance(body, str):
        body = body.encode()
    headers: list[Header] = []
    for name, datum in parts["headers"].items():
        lowered = name.lower()
        if lowered not in _HOST_OWNED:
            headers.append(_header(lowered, datum.value))
    for cookie in parts["cookies"] or ():
        headers.extend(_header("set-cookie", morsel.OutputString()) for morsel in cookie.values())
    if status in _BODILESS:
        return status, headers, b""
    headers.append((b"content-length", b"%d" % len(body)))
    return status, headers, body


def _header(name: str, value: str) -> Header:
    if _NO_VALUE.search(value):
        raise ValueError(f"the header {name!r} has a value that cannot be sent")
    return _header_name(name), value.encode("latin-1")


@lru_cache(maxsize=1_000)
def _header_name(name: str) -> bytes:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"a header cannot be called {name!r}")
    return name.encode("latin-1")


def _unmatched(match: Match, headers: dict[str, str]) -> Answer:
    if match.allowed:
        allow = ", ".join(sorted(match.allowed))
        return problem(
            405, f"This path takes {allow}.", correlation_id_of(headers), [(b"allow", allow.encode("ascii"))]
        )
    return problem(404, "There is nothing at this address.", correlation_id_of(headers))
