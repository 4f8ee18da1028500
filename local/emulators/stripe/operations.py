"""The endpoints of the API: what each takes and does. All are synchronous, so each is one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.emulators.stripe import payments, sessions
from local.emulators.stripe.account import Account, Origin, public
from local.emulators.stripe.errors import ApiError, missing
from local.emulators.stripe.ledger import Object
from local.emulators.stripe.parameters import CreateRefund, CreateSession, ListObjects, OnlyExpand, read


@dataclass(frozen=True)
class Call:
    """One request, read."""

    account: Account
    path: dict[str, str]
    parameters: dict[str, Any]
    origin: Origin


Operation = Callable[[Call], Object]


def create_session(call: Call) -> Object:
    """Make a Checkout Session."""
    wanted = read(CreateSession, call.parameters)
    return _shown(call.account, sessions.create(call.account, wanted, call.origin), wanted.expand)


def get_session(call: Call) -> Object:
    """Read a Checkout Session."""
    wanted = read(OnlyExpand, call.parameters)
    return _shown(call.account, sessions.get(call.account, call.path["id"]), wanted.expand)


def expire_session(call: Call) -> Object:
    """Close an open Checkout Session."""
    wanted = read(OnlyExpand, call.parameters)
    return _shown(call.account, sessions.expire(call.account, call.path["id"], call.origin), wanted.expand)


def get_line_items(call: Call) -> Object:
    """Read what a Checkout Session sells."""
    read(ListObjects, call.parameters)
    return sessions.line_items(sessions.get(call.account, call.path["id"]))


def get_intent(call: Call) -> Object:
    """Read a payment intent."""
    wanted = read(OnlyExpand, call.parameters)
    return _shown(call.account, payments.intent(call.account, call.path["id"]), wanted.expand)


def create_refund(call: Call) -> Object:
    """Give a payment back."""
    wanted = read(CreateRefund, call.parameters)
    return _shown(call.account, payments.refund(call.account, wanted, call.origin), wanted.expand)


def getter(kind: str) -> Operation:
    """The operation that answers one object of `kind` by id."""

    def get(call: Call) -> Object:
        wanted = read(OnlyExpand, call.parameters)
        found = call.account.ledger.find(kind, call.path["id"])
        if found is None:
            raise missing(kind, call.path["id"])
        return _shown(call.account, found, wanted.expand)

    return get


def lister(kind: str, url: str) -> Operation:
    """The operation that answers a page of objects of `kind`, newest first."""

    def page(call: Call) -> Object:
        wanted = read(ListObjects, call.parameters)
        intent = wanted.payment_intent
        if wanted.charge is not None:
            charge = call.account.ledger.find("charge", wanted.charge)
            if charge is None:
                raise missing("charge", wanted.charge, param="charge")
            intent = charge["payment_intent"]
        try:
            found, more = call.account.ledger.page(
                kind,
                limit=wanted.limit,
                after=wanted.starting_after,
                before=wanted.ending_before,
                payment_intent=intent,
                status=wanted.type or wanted.status,
            )
        except LookupError as error:
            raise missing(kind, str(error.args[0]), param="starting_after") from None
        data = [_shown(call.account, thing, []) for thing in found]
        return {"object": "list", "data": data, "has_more": more, "url": url}

    return page


ENDPOINTS: tuple[tuple[str, str, Operation], ...] = (
    ("POST", "/v1/checkout/sessions", create_session),
    ("GET", "/v1/checkout/sessions", lister("checkout.session", "/v1/checkout/sessions")),
    ("GET", "/v1/checkout/sessions/{id}", get_session),
    ("POST", "/v1/checkout/sessions/{id}/expire", expire_session),
    ("GET", "/v1/checkout/sessions/{id}/line_items", get_line_items),
    ("GET", "/v1/payment_intents", lister("payment_intent", "/v1/payment_intents")),
    ("GET", "/v1/payment_intents/{id}", get_intent),
    ("GET", "/v1/charges/{id}", getter("charge")),
    ("POST", "/v1/refunds", create_refund),
    ("GET", "/v1/refunds", lister("refund", "/v1/refunds")),
    ("GET", "/v1/refunds/{id}", getter("refund")),
    ("GET", "/v1/events", lister("event", "/v1/events")),
    ("GET", "/v1/events/{id}", getter("event")),
)

_EXPANDABLE = {"payment_intent": "payment_intent", "latest_charge": "charge", "charge": "charge"}


def _shown(account: Account, thing: Object, expand: list[str]) -> Object:
    shown = public(thing)
    for path in expand:
        if path == "line_items" and thing["object"] == sessions.KIND:
            shown["line_items"] = sessions.line_items(thing)
            continue
        node = shown
        for part in path.split("."):
            if part not in _EXPANDABLE or part not in node:
                raise ApiError(f"This property cannot be expanded ({path}).", param="expand")
            if isinstance(node[part], str):
                found = account.ledger.find(_EXPANDABLE[part], node[part])
                assert found is not None, "the ledger points at an object it does not have"
                node[part] = public(found)
            if node[part] is None:
                break
            node = node[part]
    return shown
