"""A request on its way from a connection, through the gateway, to a function."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from local.host.problems import Header
from local.host.routes import Match

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type Answer = tuple[int, list[Header], bytes]


class BodyTooLarge(Exception):
    """The request's body exceeds the limit."""


class Disconnected(Exception):
    """The client left before its request was complete."""


class Request:
    """A request on its way to a function.

    :param path: percent-decoded but for `%2F`
    :param headers: by their names in lower case, repeated ones joined
    :param address: the client's
    :param body: once it was read
    :param correlated: whether a gateway has put a good correlation id among the headers
    """

    __slots__ = ("address", "body", "correlated", "headers", "match", "method", "path", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive, path: str, match: Match) -> None:
        self.scope = scope
        self.receive = receive
        self.path = path
        self.match = match
        self.method: str = scope["method"]
        self.headers = _headers(scope["headers"])
        self.address: str = client[0] if (client := scope["client"]) else ""
        self.body: bytes | None = None
        self.correlated = False


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The request's body, kept with it: it is read once.

    :raises BodyTooLarge: it exceeds the limit; what is left of it is not read
    :raises Disconnected: the client left before it was whole
    """
    if request.body is not None:
        if len(request.body) > bytes_max:
            raise BodyTooLarge
        return request.body
    length = request.headers.get("content-length")
    if length is None and "transfer-encoding" not in request.headers:
        request.body = b""
        return request.body
    if length is not None and int(length) > bytes_max:
        raise BodyTooLarge
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > bytes_max:
            raise BodyTooLarge
        parts.append(part)
    request.body = parts[0] if len(parts) == 1 else b"".join(parts)
    return request.body


def _headers(raw: list[Header]) -> dict[str, str]:
    """Names are lower case already; repeated ones are joined as ASP.NET Core does."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers
