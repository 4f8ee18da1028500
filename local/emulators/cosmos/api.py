"""The HTTP edge: reads requests, checks who asks, lets faults happen, writes answers."""

import asyncio
import uuid
from email.utils import format_datetime

import orjson
from starlette.types import Receive, Scope, Send

from local.emulators.cosmos.account import Account
from local.emulators.cosmos.batches import refused_inside
from local.emulators.cosmos.definitions import Definitions
from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.faults import Fault, Faults
from local.emulators.cosmos.items import Items
from local.emulators.cosmos.requests import Answer, Asking, read
from local.emulators.cosmos.signatures import Gate
from local.emulators.cosmos.usage import Usage
from local.emulators.serving import break_connection


class _Cut(Exception):
    """The connection is to be cut."""


_PERFORMED = frozenset({"slow", "stale", "repeat", "garbled"})  # faults that let a request happen and be answered
BODY_BYTES_MAX = 4 * 1024 * 1024  # what is read of a request before it is refused as too large


class Api:
    """The protocol as an ASGI application."""

    def __init__(self, account: Account, gate: Gate, faults: Faults, usage: Usage) -> None:
        self._account = account
        self._gate = gate
        self._faults = faults
        self._usage = usage
        self._items = Items(account)
        self._definitions = Definitions(account)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        headers["x-emulator-scheme"] = scope["scheme"]
        activity = headers.get("x-ms-activity-id") or str(uuid.uuid4())
        try:
            asking = read(scope["method"], scope["raw_path"], headers, await _body(receive))
            await self._gate.admit(asking)
            fault = self._faults.next(asking.operation, asking.container)
            answer = await self._with(fault, asking)
            self._usage.add(asking.container, asking.operation, answer.charge)
        except Refused as refusal:
            answer = refused(refusal, activity)
        except _Cut:
            await break_connection(scope, receive)
            return
        await self._send(send, answer, activity)

    async def _with(self, fault: Fault | None, asking: Asking) -> Answer:
        """The answer, with what a fault does to it.

        :raises _Cut: there is to be none
        """
        if fault is None:
            return await self._answered(asking, None)
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        if fault.performed or fault.kind in _PERFORMED:
            answer = await self._answered(asking, fault)
            if fault.kind == "garbled":
                answer.body = answer.body[: len(answer.body) // 2]
            if fault.kind in _PERFORMED:
                return answer
        if fault.kind == "reset":
            raise _Cut
        if fault.inside and asking.operation == "batch":
            return refused_inside(asking, fault.refusal())
        raise fault.refusal()

    async def _answered(self, asking: Asking, fault: Fault | None) -> Answer:
        """The answer, a refusal being one as well."""
        try:
            if asking.kind == "docs":
                return await self._items.answer(asking, fault)
            return await self._definitions.answer(asking)
        except Refused as refusal:
            return refused(refusal, asking.headers.get("x-ms-activity-id", ""))

    async def _send(self, send: Send, answer: Answer, activity: str) -> None:
        headers = {
            "content-type": "application/json",
            "content-length": str(len(answer.body)),
            "date": format_datetime(self._account.now(), usegmt=True),
            "x-ms-activity-id": activity,
            "x-ms-request-charge": str(answer.charge),
            "x-ms-version": "2020-07-15",
            **answer.headers,
        }
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        if answer.status in {204, 304}:
            raw = [pair for pair in raw if pair[0] != b"content-length"]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body})


def refused(refusal: Refused, activity: str) -> Answer:
    """A refusal as an answer."""
    body = {"code": refusal.code, "message": f"{refusal.detail}\r\nActivityId: {activity}"}
    headers = dict(refusal.headers)
    if refusal.substatus:
        headers["x-ms-substatus"] = str(refusal.substatus)
    return Answer(refusal.status, orjson.dumps(body), 1.0, headers)


async def _body(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise Refused(413, "Request size is too large.")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
