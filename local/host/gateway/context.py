"""What policies work on: one request on its way to the functions, and its answer; `context` in their expressions."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

from local.host.problems import Header
from local.host.request import Request

type Step = Callable[["Context"], Awaitable[None] | None]
type Test = Callable[["Context"], bool]


class ProxyError(Exception):
    """A policy refused the request, or failed: processing goes on in `on-error`.

    https://learn.microsoft.com/azure/api-management/api-management-error-handling-policies

    :param source: the policy, by its element
    :param reason: a name for programs
    :param status: what `context.Response.StatusCode` is in `on-error`
    """

    def __init__(self, source: str, reason: str, message: str, *, status: int) -> None:
        super().__init__(message)
        self.source = source
        self.reason = reason
        self.message = message
        self.status = status


class Answered(Exception):
    """The answer is complete: neither backend nor outbound follow."""


class FromCache(Exception):
    """The answer comes from the cache: what follows is the part of outbound behind `cache-store`."""


class ClientGone(Exception):
    """The client left before its request was complete: there is nobody to answer."""


class Token:
    """A token that `validate-jwt` accepted."""

    __slots__ = ("issuer", "subject")

    def __init__(self, issuer: str, subject: str) -> None:
        self.issuer = issuer
        self.subject = subject


class Context:
    """One request and its answer.

    :param after: what is done once the answer is known, e.g. counting it
    :param cors: what the answer to a site of another origin carries besides
    :param cache_key: under what the answer may be kept
    """

    __slots__ = ("after", "body", "cache_key", "cors", "error", "headers", "made_id", "request", "status", "variables")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.variables: dict[str, Any] = {}
        self.status = 200
        self.headers: list[Header] = []
        self.body = b""
        self.error: ProxyError | None = None
        self.after: list[Callable[[Context], None]] | None = None
        self.cors: list[Header] | None = None
        self.cache_key: tuple[object, ...] | None = None
        self.made_id = ""

    @property
    def request_id(self) -> str:
        """The request's id, made when it is first asked for: most requests bring one of their own."""
        if not self.made_id:
            self.made_id = f"{random.getrandbits(128):032x}"
        return self.made_id

    @property
    def address(self) -> str:
        """The caller's address."""
        return self.request.address

    def response_header(self, name: bytes) -> bytes | None:
        """A header of the answer, by its name in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def answer(self, status: int, headers: list[Header], body: bytes) -> None:
        """Take this as the answer."""
        self.status, self.headers, self.body = status, headers, body
