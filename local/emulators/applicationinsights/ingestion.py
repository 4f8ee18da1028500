"""The endpoint senders post to, with its statuses: 200, 206 in part, 400, 401, 429, 500, 503.

Protocol: https://learn.microsoft.com/azure/azure-monitor/app/transaction-search-and-diagnostics and the published
schemas of `Microsoft.ApplicationInsights` envelopes; an answer counts what came and what was taken, with an error for
each that was not.
"""

import asyncio
import contextlib
import hmac
import time
import zlib
from typing import Any, Final

import orjson
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.applicationinsights.store import Items
from local.emulators.applicationinsights.traces import moment_of
from local.emulators.replies import Control, json_reply, read_control

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
TOKEN_SECONDS: Final = 3_600
_KNOWN: Final = {"RequestData", "RemoteDependencyData", "EventData", "MetricData", "ExceptionData", "MessageData"}


class Fault(Control):
    """What the next `times` posts get.

    :param status: the answer's; 206 takes every second item, another than 200 and 206 takes none
    :param seconds: how long the answer is held back, unless the fault is ended before
    :param location: where a 307 or 308 sends to
    :param garbage: whether the answer's body is no JSON
    """

    status: int = Field(default=200, ge=200, le=599)
    seconds: float = Field(default=0.0, ge=0.0, le=60.0)
    garbage: bool = False
    location: str = Field(default="", max_length=200)
    times: int = Field(default=1, ge=1, le=1_000_000)


class Ingestion:
    """Takes telemetry in."""

    def __init__(self, items: Items, bearer: str) -> None:
        self._items = items
        self._bearer = bearer
        self._fault: Fault | None = None
        self._left = 0
        self._lifted = asyncio.Event()

    def routes(self) -> list[Route]:
        """What senders and tests ask."""
        return [
            Route("/v2.1/track", self.track, methods=["POST"]),
            Route("/v2/track", self.track, methods=["POST"]),
            Route("/msi/token", self.token),
            Route("/_emulator/faults", self.faults, methods=["GET", "POST", "DELETE"]),
        ]

    async def track(self, request: Request) -> Response:
        """Take a batch: a JSON array, one object, or one object a line; compressed with gzip or not."""
        fault = self._next_fault()
        await request.body()
        if fault.seconds:
            await self._hold(fault.seconds)
            if await request.is_disconnected():
                return Response(status_code=499)  # nobody reads it; what was sent is not taken
        if not self.is_known(request):
            return json_reply({"itemsReceived": 0, "itemsAccepted": 0, "errors": ["Authorization"]}, 401)
        try:
            envelopes = _envelopes(await _body(request))
        except ValueError:
            return json_reply({"itemsReceived": 0, "itemsAccepted": 0, "errors": ["no JSON"]}, 400)
        if fault.status not in {200, 206}:
            return Response("not now", fault.status, {"Retry-After": "1", "Location": fault.location})
        errors = {number: wrong for number, each in enumerate(envelopes) if (wrong := _wrong(each, fault, number))}
        taken = [each for number, each in enumerate(envelopes) if number not in errors]
        self._items.keep(taken)
        if fault.garbage:
            return Response(b"\x00\xff not JSON {", 206 if errors else 200)
        told = [{"index": number, "statusCode": status, "message": text} for number, (status, text) in errors.items()]
        answer = {"itemsReceived": len(envelopes), "itemsAccepted": len(taken), "errors": told}
        return json_reply(answer, 206 if errors and taken else 400 if errors else 200)

    async def token(self, request: Request) -> Response:
        """The access token, as the platform gives it to an app's managed identity."""
        if not self._bearer or not request.headers.get("x-identity-header"):
            raise HTTPException(400, "no managed identity")
        resource = request.query_params.get("resource", "")
        expires = str(int(time.time()) + TOKEN_SECONDS)
        return json_reply(
            {"access_token": self._bearer, "expires_on": expires, "resource": resource, "token_type": "Bearer"}
        )

    async def faults(self, request: Request) -> Response:
        """Set, show or end the fault; at its end, answers that are held back are given."""
        if request.method == "POST":
            self._fault = await read_control(request, Fault)
            self._left = self._fault.times
        elif request.method == "DELETE":
            self._fault, self._left = None, 0
            self._lifted.set()
            self._lifted = asyncio.Event()
        return json_reply({"fault": self._fault.model_dump() if self._fault else None, "left": self._left})

    async def _hold(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lifted.wait()

    def _next_fault(self) -> Fault:
        if self._fault is None or self._left <= 0:
            return Fault()
        self._left -= 1
        return self._fault

    def is_known(self, request: Request) -> bool:
        """Whether a request bears the token, where one is asked for."""
        given = request.headers.get("authorization", "")
        return not self._bearer or hmac.compare_digest(given.encode(), f"Bearer {self._bearer}".encode())


async def _body(request: Request) -> bytes:
    """The body, unpacked.

    :raises ValueError: it is too large, or not what its encoding says
    """
    raw = await request.body()
    if request.headers.get("content-encoding", "identity") == "gzip":
        unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            raw = unpacking.decompress(raw, BODY_BYTES_MAX)
        except zlib.error as error:
            raise ValueError("not gzip") from error
    if len(raw) >= BODY_BYTES_MAX:
        raise ValueError("too large")
    return raw


def _envelopes(body: bytes) -> list[Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return [orjson.loads(line) for line in body.splitlines() if line.strip()]
    return found if isinstance(found, list) else [found]


def _wrong(envelope: Any, fault: Fault, number: int) -> tuple[int, str] | None:
    """Why an envelope is not taken."""
    if fault.status == 206 and number % 2:
        return 500, "told to"
    if not isinstance(envelope, dict) or not all(envelope.get(name) for name in ("name", "time", "iKey", "data")):
        return 400, "an envelope has name, time, iKey and data"
    try:
        moment_of(envelope)
    except ValueError:
        return 400, "time is no moment"
    data = envelope["data"]
    if not isinstance(data, dict) or data.get("baseType") not in _KNOWN or not isinstance(data.get("baseData"), dict):
        return 400, "data has a known baseType, and baseData"
    return None
