"""Failures of Graph on demand: what a network and a busy directory do to a client once in a while."""

import asyncio
import math
from typing import Literal

from pydantic import Field
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from local.emulators.entra.graph_errors import GraphError, new_request_id, reply
from local.emulators.rules import Rule, Rules
from local.emulators.serving import break_connection

Kind = Literal[
    "unavailable", "throttle", "expired", "reset", "slow", "lost", "garbage", "late", "elsewhere", "redirect"
]


class Fault(Rule):
    """One rule; the first that matches a request decides.

    `unavailable` answers 503, `throttle` 429 with `seconds` as Retry-After (0: none), `expired` 401 as for a token that
    was revoked, and `reset` cuts the connection, all before anything happened; `lost` cuts it and `garbage` answers
    nonsense after it happened; `slow` waits, then performs it; `late` leaves out of a list whom the last `seconds`
    made, and of the deleted items whom they deleted; `elsewhere` names another host as the next page's; `redirect`
    sends to the address that was asked for.
    """

    kind: Kind
    seconds: float = Field(default=1.0, ge=0, le=600, description="how slow, how late, or the pause to ask for")
    path: str = Field(default="", description="only requests whose path contains this")
    method: Literal["GET", "POST", "PATCH", "DELETE"] | None = None


class Faults(Rules[Fault]):
    """The rules in force."""

    def next(self, method: str, path: str) -> Fault | None:
        """What is to happen to this request, if anything."""
        return self.first(lambda fault: fault.path in path and fault.method in {None, method})


async def before(fault: Fault | None, url: str) -> Response | None:
    """What is answered instead of doing what was asked, if anything is; `url` is the whole address of the request.

    :raises GraphError: a refusal in Graph's shape
    """
    if fault is None:
        return None
    match fault.kind:
        case "unavailable":
            raise GraphError("The service is unavailable (injected).", status=503, code="serviceNotAvailable")
        case "throttle":  # https://learn.microsoft.com/graph/throttling
            error = GraphError("Too many requests (injected).", status=429, code="TooManyRequests")
            pause = {"Retry-After": str(math.ceil(fault.seconds))} if fault.seconds else {}
            request_id = new_request_id()
            return reply(error.body(request_id), 429, request_id, pause)
        case "expired":
            raise GraphError("Lifetime validation failed (injected).", status=401, code="InvalidAuthenticationToken")
        case "reset":
            return BrokenConnection()
        case "redirect":
            return RedirectResponse(url, 307)
        case "slow":
            await asyncio.sleep(fault.seconds)
    return None


def after(fault: Fault | None, answer: Response) -> Response:
    """What is answered once it happened."""
    if fault is None or fault.kind not in {"lost", "garbage"}:
        return answer
    return BrokenConnection() if fault.kind == "lost" else Response(b"<html>\x00not what you asked for", 200)


class BrokenConnection(Response):
    """An answer that never comes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await break_connection(scope, receive)
