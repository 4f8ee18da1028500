"""What people see: the hosted payment page, and an index of what happened."""

from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.emulators.database import Database
from local.emulators.replies import Pages
from local.emulators.stripe import challenges, payments, sessions
from local.emulators.stripe.account import Account
from local.emulators.stripe.cards import Card
from local.emulators.stripe.errors import ApiError
from local.emulators.stripe.ledger import Object

_RECENT = 20
_NO_MINOR_UNITS = {
    "bif",
    "clp",
    "djf",
    "gnf",
    "jpy",
    "kmf",
    "krw",
    "mga",
    "pyg",
    "rwf",
    "ugx",
    "vnd",
    "vuv",
    "xaf",
    "xof",
    "xpf",
}
_EMPTY = Card(number="", expiry="", cvc="", name="")


class Hosted:
    """Stripe's pages, plainly."""

    def __init__(self, account: Account, database: Database) -> None:
        self._account = account
        self._database = database
        self._pages = Pages(Path(__file__).parent / "templates")
        self._pages.environment.filters |= {"money": money, "moment": moment}

    def routes(self) -> list[Route]:
        """The index, the payment page, and the bank's page behind it."""
        return [
            Route("/", self.index),
            Route("/c/pay/{id}", self.form),
            Route("/c/pay/{id}", self.submit, methods=["POST"]),
            Route("/c/pay/{id}/authenticate", self.authenticate),
            Route("/c/pay/{id}/authenticate", self.answer, methods=["POST"]),
        ]

    async def index(self, _: Request) -> Response:
        """The latest of everything."""
        ledger = self._account.ledger
        deliveries = self._database.all("SELECT * FROM deliveries ORDER BY id DESC LIMIT ?", _RECENT)
        return self._pages.show(
            "index.html",
            sessions=ledger.page(sessions.KIND, limit=_RECENT)[0],
            intents=ledger.page("payment_intent", limit=_RECENT)[0],
            refunds=ledger.page("refund", limit=_RECENT)[0],
            deliveries=deliveries,
            counts=self._account.outbox.counts(),
        )

    async def form(self, request: Request) -> Response:
        """The payment form of an open session, with what became of the last try, or why there is none."""
        session = self._session(request)
        if session is None:
            return self._unknown()
        intent = self._account.ledger.find("payment_intent", session["payment_intent"] or "")
        error = None if intent is None else intent["last_payment_error"]
        return self._form(session, _EMPTY, {}, None if error is None else error["message"], 200)

    async def submit(self, request: Request) -> Response:
        """Try the card: to the shop when paid, to the bank when it asks first, back to the form when refused."""
        async with request.form(max_files=0, max_fields=10) as sent:
            fields = {name: str(sent.get(f"card_{name}", "")) for name in ("number", "expiry", "cvc", "name")}
        card = Card(**fields)
        try:
            with self._database.transaction():
                attempt = payments.pay(self._account, request.path_params["id"], card)
        except ApiError:
            return self._unknown()
        if attempt.challenge is not None:
            return RedirectResponse(f"/c/pay/{attempt.session['id']}/authenticate", 303)
        if attempt.paid:
            return _to_the_shop(attempt.session)
        problems = attempt.problems or {}
        decline = None if attempt.decline is None else attempt.decline.message
        return self._form(attempt.session, card, problems, decline, 422 if problems else 402)

    async def authenticate(self, request: Request) -> Response:
        """The bank's question, or where to go when there is none."""
        session = self._session(request)
        if session is None:
            return self._unknown()
        challenge = challenges.open_challenge(self._account, session)
        if challenge is None:
            return self._whatever_became(session)
        return self._pages.show("authenticate.html", session=session, challenge=challenge)

    async def answer(self, request: Request) -> Response:
        """Take the customer's answer; a question that is answered already, or void, leads to what became of it."""
        async with request.form(max_files=0, max_fields=10) as sent:
            challenge_id, said = str(sent.get("challenge", "")), str(sent.get("answer", ""))
        if said not in {"complete", "fail"}:
            return self._pages.show("closed.html", 400, state="unknown", session=None)
        try:
            with self._database.transaction():
                session_id = request.path_params["id"]
                challenges.answer(self._account, session_id, challenge_id, yes=said == "complete")
                session = sessions.get(self._account, session_id)
        except ApiError:
            return self._unknown()
        return self._whatever_became(session)

    def _session(self, request: Request) -> Object | None:
        try:
            with self._database.transaction():
                return sessions.get(self._account, request.path_params["id"])
        except ApiError:
            return None

    def _whatever_became(self, session: Object) -> Response:
        if session["status"] == "complete":
            return _to_the_shop(session)
        if session["status"] == "open":
            return RedirectResponse(f"/c/pay/{session['id']}", 303)
        return self._pages.show("closed.html", 410, state=session["status"], session=session)

    def _unknown(self) -> Response:
        return self._pages.show("closed.html", 404, state="unknown", session=None)

    def _form(
        self, session: Object, card: Card, problems: dict[str, str], decline: str | None, status: int
    ) -> Response:
        if session["status"] != "open":
            return self._pages.show("closed.html", 410, state=session["status"], session=session)
        cancel_url = (session["cancel_url"] or "").replace("{CHECKOUT_SESSION_ID}", session["id"])
        return self._pages.show(
            "pay.html", status, session=session, card=card, problems=problems, decline=decline, cancel_url=cancel_url
        )


def _to_the_shop(session: Object) -> Response:
    return RedirectResponse(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]), 303)


def money(amount: int, currency: str) -> str:
    """An amount in minor units as people write it, e.g. `EUR 12.50`."""
    code = currency.upper()
    return f"{code} {amount:,}" if currency in _NO_MINOR_UNITS else f"{code} {amount / 100:,.2f}"


def moment(seconds: float) -> str:
    """A Unix time as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
