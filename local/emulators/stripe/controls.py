"""`/_emulator/`: what tests ask of the emulator and no Stripe would do."""

import time
from typing import Literal

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.database import Database
from local.emulators.replies import Control, json_reply, read_control
from local.emulators.stripe import payments, sessions
from local.emulators.stripe.account import Account, public
from local.emulators.stripe.cards import VISA_SUCCEEDS, Card
from local.emulators.stripe.errors import ApiError
from local.emulators.stripe.faults import Fault, Faults
from local.emulators.stripe.webhooks import Behaviour


class _Pay(Control):
    number: str = VISA_SUCCEEDS


class _Release(Control):
    order: Literal["as_queued", "reverse", "shuffle"] = "as_queued"


class _Clock(Control):
    advance_seconds: int = Field(ge=0, le=366 * 86_400)


class _Resend(Control):
    copies: int = Field(default=1, ge=1, le=100)


class Controls:
    """The control endpoints; all answer JSON."""

    def __init__(self, account: Account, database: Database, faults: Faults) -> None:
        self._account = account
        self._database = database
        self._faults = faults

    def routes(self) -> list[Route]:
        """The routes below `/_emulator`."""
        return [
            Route("/state", self.state),
            Route("/sessions/{id}/pay", self.pay, methods=["POST"]),
            Route("/webhooks", self.webhooks, methods=["GET", "POST"]),
            Route("/webhooks/release", self.release, methods=["POST"]),
            Route("/events/{id}/resend", self.resend, methods=["POST"]),
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route("/clock", self.clock, methods=["GET", "POST"]),
        ]

    async def state(self, _: Request) -> Response:
        """Every session, payment intent and refund, oldest first, for reconciliation."""
        with self._database.transaction():
            sessions.expire_due(self._account)
        ledger = self._account.ledger
        return json_reply(
            {
                "sessions": [public(thing) for thing in ledger.every(sessions.KIND)],
                "payment_intents": [public(thing) for thing in ledger.every("payment_intent")],
                "refunds": [public(thing) for thing in ledger.every("refund")],
                "deliveries": self._account.outbox.counts(),
            }
        )

    async def pay(self, request: Request) -> Response:
        """Pay as the hosted page would.

        200 when paid, 202 when the bank asks first, 402 declined, 409 no longer open, 422 no such card number.
        """
        wanted = await read_control(request, _Pay)
        try:
            with self._database.transaction():
                attempt = payments.pay(self._account, request.path_params["id"], Card(number=wanted.number))
        except ApiError as error:
            return json_reply(error.body, error.status)
        if attempt.paid:
            status = 200
        elif attempt.challenge is not None:
            status = 202
        elif attempt.decline is not None:
            status = 402
        else:
            status = 422 if attempt.problems else 409
        return json_reply(
            {
                "paid": attempt.paid,
                "status": attempt.session["status"],
                "payment_status": attempt.session["payment_status"],
                "payment_intent": attempt.session["payment_intent"],
                "decline_code": None if attempt.decline is None else attempt.decline.reason or attempt.decline.code,
                "problems": attempt.problems or {},
            },
            status,
        )

    async def webhooks(self, request: Request) -> Response:
        """Say how webhooks misbehave, or replace it (what is left out is as on a good day)."""
        outbox = self._account.outbox
        if request.method == "POST":
            behaviour = await read_control(request, Behaviour)
            self._account.ledger.remember("webhooks", behaviour.model_dump())
            outbox.behave(behaviour)
        return json_reply({"behaviour": outbox.behaviour.model_dump(), "deliveries": outbox.counts()})

    async def release(self, request: Request) -> Response:
        """End the hold and send what waited, in the order asked for."""
        wanted = await read_control(request, _Release)
        with self._database.transaction():
            released = self._account.outbox.release(wanted.order)
            self._account.ledger.remember("webhooks", self._account.outbox.behaviour.model_dump())
        return json_reply({"released": released})

    async def resend(self, request: Request) -> Response:
        """Send an event once more, whatever became of it."""
        wanted = await read_control(request, _Resend)
        event = self._account.ledger.find("event", request.path_params["id"])
        if event is None:
            raise HTTPException(404, "no such event")
        with self._database.transaction():
            for _ in range(wanted.copies):
                self._account.outbox.add(event["id"], event["type"], due_at=time.time())
        return json_reply({"queued": wanted.copies})

    async def faults(self, request: Request) -> Response:
        """Add a rule for API failures, or clear them all; answers how many requests were hit so far."""
        if request.method == "POST":
            self._faults.add(await read_control(request, Fault))
        elif request.method == "DELETE":
            self._faults.clear()
        return json_reply({"hits": self._faults.hits})

    async def clock(self, request: Request) -> Response:
        """Tell the account's time, or move it ahead: expiries that fall due happen at once."""
        if request.method == "POST":
            wanted = await read_control(request, _Clock)
            with self._database.transaction():
                self._account.skip(wanted.advance_seconds)
                sessions.expire_due(self._account)
        return json_reply({"now": self._account.now()})
