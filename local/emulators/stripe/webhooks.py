"""The outgoing queue of events: durable, signed, repeated until the receiver says 2xx (https://docs.stripe.com/webhooks)."""

import asyncio
import hashlib
import hmac
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import orjson
from pydantic import Field

from local.emulators.database import Database
from local.emulators.replies import Control

CONCURRENCY = 16
_FIRST_RETRY_SECONDS = 0.5
_ATTEMPTS_MAX = 1_000  # Stripe gives up after three days; at our cap this is over an hour
_TIMEOUT_SECONDS = 10
_SPACING_SECONDS = 0.02
_IDLE_SECONDS = 60.0


class Behaviour(Control):
    """How webhooks misbehave; the defaults are a good day."""

    duplicates: int = Field(default=0, ge=0, le=100, description="extra copies of each event")
    delay_seconds: float = Field(default=0, ge=0, le=86_400)
    reorder_seconds: float = Field(default=0, ge=0, le=3_600, description="each copy waits a random part of this")
    drop: float = Field(default=0, ge=0, le=1, description="the part of events never sent")
    hold: bool = Field(default=False, description="queue, but send nothing until released")
    types: list[str] = Field(default=[], description="only these events misbehave; empty means all (hold is for all)")


@dataclass(frozen=True)
class Receiver:
    """Where events go."""

    url: str | None
    secret: str
    types: tuple[str, ...]  # the endpoint's enabled events; empty means all
    retry_max_seconds: float


class Outbox:
    """Events waiting to be told; rows are written inside the transaction of the change they report."""

    def __init__(self, database: Database, receiver: Receiver, behaviour: Behaviour) -> None:
        self._database = database
        self._receiver = receiver
        self.behaviour = behaviour
        self._wake = asyncio.Event()
        self._sending: dict[int, asyncio.Task[None]] = {}

    def queue(self, event: str, kind: str) -> None:
        """Owe the receiver an event, as often and as late as the behaviour says."""
        if self._receiver.url is None or (self._receiver.types and kind not in self._receiver.types):
            return
        now, how = time.time(), self.behaviour
        if how.types and kind not in how.types:
            how = Behaviour()
        state = "dropped" if how.drop and random.random() < how.drop else "pending"  # noqa: S311 - no secret
        for _ in range(1 + how.duplicates):
            late = how.delay_seconds + how.reorder_seconds * random.random()  # noqa: S311 - no secret
            self.add(event, kind, due_at=now + late, state=state)
        self._wake.set()

    def add(self, event: str, kind: str, *, due_at: float, state: str = "pending") -> None:
        """Queue one copy of an event."""
        self._database.change(
            "INSERT INTO deliveries (event, type, due_at, state) VALUES (?, ?, ?, ?)", event, kind, due_at, state
        )
        self._wake.set()

    def behave(self, behaviour: Behaviour) -> None:
        """Change how events are sent from now on."""
        self.behaviour = behaviour
        self._wake.set()

    def release(self, order: Literal["as_queued", "reverse", "shuffle"]) -> int:
        """Send what is pending now, spaced a little so that the order holds; says how many."""
        rows = [
            row["id"] for row in self._database.all("SELECT id FROM deliveries WHERE state = 'pending' ORDER BY id")
        ]
        if order == "reverse":
            rows.reverse()
        elif order == "shuffle":
            random.shuffle(rows)
        spacing = 0 if order == "as_queued" else _SPACING_SECONDS
        now = time.time()
        for place, row in enumerate(rows):
            self._database.change("UPDATE deliveries SET due_at = ? WHERE id = ?", now + place * spacing, row)
        self.behave(self.behaviour.model_copy(update={"hold": False}))
        return len(rows)

    def counts(self) -> dict[str, int]:
        """How many deliveries are in each state."""
        rows = self._database.all("SELECT state, count(*) AS number FROM deliveries GROUP BY state")
        return {"pending": 0, "delivered": 0, "dropped": 0, "failed": 0} | {r["state"]: r["number"] for r in rows}

    async def run(self, payload_of: Callable[[str], dict[str, Any]]) -> None:
        """Send until cancelled."""
        connector = aiohttp.TCPConnector(limit=CONCURRENCY)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
            try:
                while True:
                    self._wake.clear()
                    self._start_due(client, payload_of)
                    await self._until_next()
            finally:
                for task in self._sending.values():
                    task.cancel()
                await asyncio.gather(*self._sending.values(), return_exceptions=True)

    def _start_due(self, client: aiohttp.ClientSession, payload_of: Callable[[str], dict[str, Any]]) -> None:
        room = CONCURRENCY - len(self._sending)
        if room <= 0 or self.behaviour.hold:
            return
        due = self._database.all(
            "SELECT id, event, attempts FROM deliveries WHERE state = 'pending' AND due_at <= ? "
            "ORDER BY due_at LIMIT ?",
            time.time(),
            CONCURRENCY,
        )
        for row in [row for row in due if row["id"] not in self._sending][:room]:
            task = asyncio.create_task(self._deliver(client, row["id"], payload_of(row["event"]), row["attempts"]))
            self._sending[row["id"]] = task

    async def _until_next(self) -> None:
        """Sleep until something may be due: a queued event, a finished sending, or the next one's time."""
        wait = _IDLE_SECONDS
        if not self.behaviour.hold and len(self._sending) < CONCURRENCY:
            waiting = self._database.all(
                "SELECT id, due_at FROM deliveries WHERE state = 'pending' ORDER BY due_at LIMIT ?", CONCURRENCY + 1
            )
            upcoming = [row["due_at"] for row in waiting if row["id"] not in self._sending]
            wait = min([wait, *(max(0.0, due - time.time()) for due in upcoming[:1])])
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            return  # time for the next one

    async def _deliver(self, client: aiohttp.ClientSession, row: int, event: dict[str, Any], attempts: int) -> None:
        try:
            outcome, accepted = await self._post(client, event)
            attempts += 1
            if accepted:
                state, due = "delivered", time.time()
            else:
                state = "failed" if attempts >= _ATTEMPTS_MAX else "pending"
                growth = _FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 16)
                due = time.time() + min(self._receiver.retry_max_seconds, growth)
            self._database.change(
                "UPDATE deliveries SET state = ?, attempts = ?, outcome = ?, due_at = ? WHERE id = ?",
                state,
                attempts,
                outcome,
                due,
                row,
            )
        finally:
            del self._sending[row]
            self._wake.set()

    async def _post(self, client: aiohttp.ClientSession, event: dict[str, Any]) -> tuple[str, bool]:
        assert self._receiver.url is not None
        body = orjson.dumps(event, option=orjson.OPT_INDENT_2)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(body, secret=self._receiver.secret, at=int(time.time())),
        }
        try:
            async with client.post(self._receiver.url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return str(answer.status), 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__, False


def sign(body: bytes, *, secret: str, at: int) -> str:
    """The `Stripe-Signature` of `body` sent at Unix second `at` (https://docs.stripe.com/webhooks#verify-manually)."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
