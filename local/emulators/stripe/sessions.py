"""Checkout Sessions: made, read, expired (https://docs.stripe.com/api/checkout/sessions)."""

from local.emulators.stripe.account import BUYER, Account, Origin
from local.emulators.stripe.errors import ApiError, missing
from local.emulators.stripe.ledger import Object, new_id
from local.emulators.stripe.parameters import CreateSession, LineItem

KIND = "checkout.session"
_LIFETIME_MIN_SECONDS = 30 * 60
_LIFETIME_MAX_SECONDS = 24 * 3600
_TOTAL_MIN = {
    "eur": 50,
    "usd": 50,
    "chf": 50,
    "gbp": 30,
}  # https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts


def create(account: Account, wanted: CreateSession, origin: Origin) -> Object:
    """A new open session.

    :raises ApiError: mixed currencies, a total below the minimum, or `expires_at` out of its bounds
    """
    currency, total = _total(wanted.line_items)
    identity = f"cs_test_a1{new_id('')[1:]}{new_id('')[1:]}"
    session: Object = {
        "id": identity,
        "object": KIND,
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "provider": None, "status": None},
        "cancel_url": wanted.cancel_url,
        "client_reference_id": wanted.client_reference_id,
        "created": account.now(),
        "currency": currency,
        "customer": None,
        "customer_creation": wanted.customer_creation,
        "customer_details": None if wanted.customer_email is None else _details(wanted.customer_email, None),
        "customer_email": wanted.customer_email,
        "expires_at": _expiry(wanted.expires_at, account.now()),
        "livemode": False,
        "locale": wanted.locale,
        "metadata": wanted.metadata,
        "mode": "payment",
        "payment_intent": None,
        "payment_method_types": wanted.payment_method_types,
        "payment_status": "unpaid",
        "status": "open",
        "submit_type": wanted.submit_type,
        "success_url": wanted.success_url,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": wanted.ui_mode,
        "url": f"{account.public_url}/c/pay/{identity}",
        "_line_items": [_line(item) for item in wanted.line_items],
        "_payment_intent_data": wanted.payment_intent_data.model_dump(),
    }
    account.ledger.add(session, due_at=session["expires_at"])
    return session


def get(account: Account, identity: str) -> Object:
    """The session as it stands now; one whose time is up is expired first.

    :raises ApiError: there is none
    """
    session = account.ledger.find(KIND, identity)
    if session is None:
        raise missing(KIND, identity, param="session")
    if session["status"] == "open" and session["expires_at"] <= account.now():
        _close(account, session, BUYER)
        session = account.ledger.find(KIND, identity)
        assert session is not None
    return session


def expire(account: Account, identity: str, origin: Origin) -> Object:
    """Close an open session so that nobody can pay it any more.

    :raises ApiError: there is none, or it is no longer open
    """
    session = get(account, identity)
    if session["status"] != "open" or not _close(account, session, origin):
        status = get(account, identity)["status"]
        raise ApiError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of {status}.",
            executed=True,
        )
    return session


def expire_due(account: Account) -> int:
    """Expire every open session whose time is up and say how many."""
    return sum(_close(account, session, BUYER) for session in account.ledger.due(account.now()))


def line_items(session: Object) -> Object:
    """The session's lines as a Stripe list."""
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return {"object": "list", "data": session["_line_items"], "has_more": False, "url": url}


def completed(session: Object, *, name: str) -> Object:
    """The session after its payment succeeded."""
    email = session["customer_email"]
    return session | {
        "status": "complete",
        "payment_status": "paid",
        "url": None,
        "customer_details": _details(email, name),
    }


def _close(account: Account, session: Object, origin: Origin) -> bool:
    session |= {"status": "expired", "url": None}
    if not account.ledger.finish(session, before="open"):
        return False
    intent = account.ledger.find("payment_intent", session["payment_intent"] or "")
    if intent is not None:
        intent |= {"status": "canceled", "canceled_at": account.now(), "cancellation_reason": "automatic"}
        intent |= {"next_action": None, "_challenge": None}
        account.ledger.save(intent)
        account.emit("payment_intent.canceled", intent, origin)
    account.emit("checkout.session.expired", session, origin)
    return True


def _total(lines: list[LineItem]) -> tuple[str, int]:
    currency = lines[0].price_data.currency
    for place, line in enumerate(lines):
        if line.price_data.currency != currency:
            raise ApiError(
                "All prices on a Checkout Session must be in the same currency.",
                param=f"line_items[{place}][price_data][currency]",
            )
    total = sum(line.price_data.unit_amount * line.quantity for line in lines)
    least = _TOTAL_MIN.get(currency, 1)
    if 0 < total < least:
        raise ApiError(
            f"The Checkout Session's total amount due must add up to at least {least / 100:.2f} {currency}.",
            code="amount_too_small",
        )
    return currency, total


def _expiry(wanted: int | None, now: int) -> int:
    if wanted is None:
        return now + _LIFETIME_MAX_SECONDS
    # Stripe compares with the moment of creation; a second of grace covers the request's own way here.
    if wanted < now + _LIFETIME_MIN_SECONDS - 1:
        raise ApiError(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.",
            param="expires_at",
        )
    if wanted > now + _LIFETIME_MAX_SECONDS:
        raise ApiError(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return wanted


def _line(item: LineItem) -> Object:
    price, total = item.price_data, item.price_data.unit_amount * item.quantity
    return {
        "id": new_id("li"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": price.currency,
        "description": price.product_data.name,
        "metadata": {},
        "price": {
            "id": new_id("price"),
            "object": "price",
            "currency": price.currency,
            "product": new_id("prod"),
            "tax_behavior": price.tax_behavior,
            "type": "one_time",
            "unit_amount": price.unit_amount,
        },
        "quantity": item.quantity,
    }


def _details(email: str | None, name: str | None) -> Object:
    return {"address": None, "email": email, "name": name, "phone": None, "tax_exempt": "none", "tax_ids": []}
