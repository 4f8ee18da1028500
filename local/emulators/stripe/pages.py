"""What people see: the hosted payment page, and an index of what happened."""

from datetime import UTC, datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.emulators.database import Database
from local.emulators.replies import Pages
from local.emulators.stripe import payments, sessions
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
        """The index and the payment page."""
        return [
            Route("/", self.index),
            Route("/c/pay/{id}", self.form),
            Route("/c/pay/{id}", self.submit, methods=["POST"]),
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
        """The payment form of an open session, or why there is none."""
        try:
            with self._database.transaction():
                session = sessions.get(self._account, request.path_params["id"])
        except ApiError:
            return self._pages.show("closed.html", 404, state="unknown", session=None)
        return self._form(session, _EMPTY, {}, None, 200)

    async def submit(self, request: Request) -> Response:
        """Try the card: to the shop when paid, back to the form when not."""
        async with request.form(max_files=0, max_fields=10) as sent:
            fields = {name: str(sent.get(f"card_{name}", "")) for name in ("number", "expiry", "cvc", "name")}
        card = Card(**fields)
        try:
            with self._database.transaction():
                attempt = payments.pay(self._account, request.path_params["id"], card)
        except ApiError:
            return self._pages.show("closed.html", 404, state="unknown", session=None)
        if attempt.paid:
            target = attempt.session["success_url"].replace("{CHECKOUT_SESSION_ID}", attempt.session["id"])
            return RedirectResponse(target, 303)
        problems = attempt.problems or {}
        decline = None if attempt.decline is None else attempt.decline.message
        return self._form(attempt.session, card, problems, decline, 422 if problems else 402)

    def _form(
        self, session: Object, card: Card, problems: dict[str, str], decline: str | None, status: int
    ) -> Response:
        if session["status"] != "open":
            return self._pages.show("closed.html", 410, state=session["status"], session=session)
        cancel_url = (session["cancel_url"] or "").replace("{CHECKOUT_SESSION_ID}", session["id"])
        return self._pages.show(
            "pay.html", status, session=session, card=card, problems=problems, decline=decline, cancel_url=cancel_url
        )


def money(amount: int, currency: str) -> str:
    """An amount in minor units as people write it, e.g. `EUR 12.50`."""
    code = currency.upper()
    return f"{code} {amount:,}" if currency in _NO_MINOR_UNITS else f"{code} {amount / 100:,.2f}"


def moment(seconds: float) -> str:
    """A Unix time as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
