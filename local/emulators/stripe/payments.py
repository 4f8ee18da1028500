"""Paying a session and giving money back (https://docs.stripe.com/api/payment_intents, /refunds)."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from local.emulators.stripe import sessions
from local.emulators.stripe.account import BUYER, Account, Origin
from local.emulators.stripe.cards import Card, Decline, KeptCard, decide, wants_authentication
from local.emulators.stripe.errors import ApiError, missing
from local.emulators.stripe.ledger import Object, new_id
from local.emulators.stripe.parameters import CreateRefund


@dataclass(frozen=True)
class Attempt:
    """What became of an attempt to pay; `problems` are those of the form, by field.

    `challenge` is the id of the question the bank asks first (3-D Secure).
    """

    session: Object
    challenge: str | None = None
    paid: bool = False
    decline: Decline | None = None
    problems: dict[str, str] | None = None


def pay(account: Account, session_id: str, card: Card) -> Attempt:
    """Try to pay a session with a card; call it inside a transaction.

    Whether the session completes or has expired is decided by one conditional update: exactly one of them wins.

    :raises ApiError: there is no such session
    """
    session = sessions.get(account, session_id)
    if session["status"] != "open":
        return Attempt(session)
    today = datetime.fromtimestamp(account.now(), UTC)
    if problems := card.problems(year=today.year, month=today.month):
        return Attempt(session, problems=problems)
    if wants_authentication(card):
        return _ask_first(account, session, card)
    return charge_card(account, session, card.kept, decide(card))


def charge_card(account: Account, session: Object, card: KeptCard, decline: Decline | None) -> Attempt:
    """Take the money of an open session, or write down the bank's no; call it inside a transaction."""
    intent, fresh = intent_of(account, session)
    session = session | {"payment_intent": intent["id"]}
    charge = _charge(account, intent, card, decline)
    if decline is None:
        session = sessions.completed(session, name=card.name)
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "last_payment_error": None}
    else:
        intent |= {"status": "requires_payment_method", "last_payment_error": _payment_error(charge, decline)}
    intent |= {"latest_charge": charge["id"], "next_action": None, "_challenge": None}
    if decline is None and not account.ledger.finish(session, before="open"):
        return Attempt(sessions.get(account, session["id"]))
    if decline is not None:
        account.ledger.save(session)
    _record(account, intent, charge, fresh=fresh)
    if decline is None:
        account.emit("payment_intent.succeeded", intent, BUYER)
        account.emit("checkout.session.completed", session, BUYER)
    else:
        account.emit("payment_intent.payment_failed", intent, BUYER)
    return Attempt(session, paid=decline is None, decline=decline)


def intent(account: Account, identity: str) -> Object:
    """A payment intent.

    :raises ApiError: there is none
    """
    found = account.ledger.find("payment_intent", identity)
    if found is None:
        raise missing("payment_intent", identity, param="intent")
    return found


def refund(account: Account, wanted: CreateRefund, origin: Origin) -> Object:
    """Give back all that is left of a payment, or `amount` of it.

    :raises ApiError: no such payment, nothing was paid, or less is left than asked for
    """
    charge = _charge_to_refund(account, wanted)
    left = charge["amount"] - charge["amount_refunded"]
    if left == 0:
        raise ApiError(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", executed=True
        )
    amount = left if wanted.amount is None else wanted.amount
    if amount > left:
        raise ApiError(
            f"Refund amount ({amount / 100:.2f} {charge['currency']}) is greater than unrefunded amount on charge "
            f"({left / 100:.2f} {charge['currency']})",
            param="amount",
            executed=True,
        )
    given: Object = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": new_id("txn"),
        "charge": charge["id"],
        "created": account.now(),
        "currency": charge["currency"],
        "metadata": wanted.metadata,
        "payment_intent": charge["payment_intent"],
        "reason": wanted.reason,
        "receipt_number": None,
        "status": "succeeded",
    }
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    account.ledger.add(given)
    account.ledger.save(charge)
    account.emit("refund.created", given, origin)
    account.emit("charge.refunded", charge, origin)
    return given


def _charge_to_refund(account: Account, wanted: CreateRefund) -> Object:
    if (wanted.payment_intent is None) == (wanted.charge is None):
        raise ApiError(
            "You must provide exactly one of the following parameters: charge, payment_intent.",
            code="parameter_missing",
            param="payment_intent",
        )
    if wanted.charge is not None:
        charge = account.ledger.find("charge", wanted.charge)
        if charge is None:
            raise missing("charge", wanted.charge, param="charge")
    else:
        paid = account.ledger.find("payment_intent", wanted.payment_intent or "")
        if paid is None:
            raise missing("payment_intent", wanted.payment_intent or "", param="payment_intent")
        charge = account.ledger.find("charge", paid["latest_charge"] or "")
    if charge is None or not charge["paid"]:
        raise ApiError(
            f"This PaymentIntent ({wanted.payment_intent}) does not have a successful charge to refund.", executed=True
        )
    return charge


def _ask_first(account: Account, session: Object, card: Card) -> Attempt:
    """Have the bank ask its customer; a question that was open before is void."""
    asked, fresh = intent_of(account, session)
    challenge = new_id("payatt")
    url = f"{account.public_url}/c/pay/{session['id']}/authenticate"
    asked |= {
        "status": "requires_action",
        "last_payment_error": None,
        "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": session["url"]}},
        "_challenge": {"id": challenge, **asdict(card.kept)},
    }
    session = session | {"payment_intent": asked["id"]}
    account.ledger.save(session)
    keep_intent(account, asked, fresh=fresh)
    account.emit("payment_intent.requires_action", asked, BUYER)
    return Attempt(session, challenge=challenge)


def intent_of(account: Account, session: Object) -> tuple[Object, bool]:
    """The session's payment intent, which Stripe makes with the first attempt to pay, and whether it is new."""
    if session["payment_intent"] is not None:
        return intent(account, session["payment_intent"]), False
    told = session["_payment_intent_data"]
    made: Object = {
        "id": new_id("pi"),
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": told["capture_method"],
        "confirmation_method": "automatic",
        "created": account.now(),
        "currency": session["currency"],
        "customer": None,
        "description": told["description"],
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": told["metadata"],
        "next_action": None,
        "payment_method_types": ["card"],
        "receipt_email": told["receipt_email"],
        "status": "requires_payment_method",
        "_challenge": None,
    }
    return made, True


def keep_intent(account: Account, paid: Object, *, fresh: bool) -> None:
    """Write a payment intent; a new one is told as it was before anything happened to it."""
    if not fresh:
        account.ledger.save(paid)
        return
    account.ledger.add(paid)
    begun = {"status": "requires_payment_method", "latest_charge": None, "next_action": None}
    account.emit("payment_intent.created", paid | begun, BUYER)


def _charge(account: Account, paid: Object, card: KeptCard, decline: Decline | None) -> Object:
    return {
        "id": new_id("ch"),
        "object": "charge",
        "amount": paid["amount"],
        "amount_captured": 0 if decline else paid["amount"],
        "amount_refunded": 0,
        "billing_details": {"name": card.name},
        "captured": decline is None,
        "created": account.now(),
        "currency": paid["currency"],
        "failure_code": None if decline is None else decline.code,
        "failure_message": None if decline is None else decline.message,
        "livemode": False,
        "metadata": paid["metadata"],
        "paid": decline is None,
        "payment_intent": paid["id"],
        "payment_method_details": {
            "type": "card",
            "card": {name: value for name, value in asdict(card).items() if name != "name"},
        },
        "refunded": False,
        "status": "succeeded" if decline is None else "failed",
    }


def _payment_error(charge: Object, decline: Decline) -> Object:
    error: Object = {"type": "card_error", "code": decline.code, "message": decline.message, "charge": charge["id"]}
    return error if decline.reason is None else error | {"decline_code": decline.reason}


def _record(account: Account, paid: Object, charge: Object, *, fresh: bool) -> None:
    account.ledger.add(charge)
    keep_intent(account, paid, fresh=fresh)
    account.emit("charge.succeeded" if charge["paid"] else "charge.failed", charge, BUYER)
