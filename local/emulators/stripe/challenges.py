"""3-D Secure: the bank's own page between the card and the money (https://docs.stripe.com/payments/3d-secure).

A question is answered once: its id is the payment intent's until then, so that a second click, a reload or an old tab
finds what became of it instead of happening again.
"""

from local.emulators.stripe import payments, sessions
from local.emulators.stripe.account import BUYER, Account
from local.emulators.stripe.cards import KeptCard, decide_authenticated
from local.emulators.stripe.ledger import Object

FAILURE = {
    "type": "invalid_request_error",
    "code": "payment_intent_authentication_failure",
    "message": "We are unable to authenticate your payment method. Please choose a different payment method and try "
    "again.",
}


def open_challenge(account: Account, session: Object) -> Object | None:
    """The question the bank asks about a session just now: its `id`, and the fields of the `KeptCard` it is about.

    A session that is paid or closed leaves no question open.
    """
    if session["payment_intent"] is None:
        return None
    challenge: Object | None = payments.intent(account, session["payment_intent"]).get("_challenge")
    return challenge


def answer(account: Account, session_id: str, challenge_id: str, *, yes: bool) -> payments.Attempt | None:
    """What becomes of the payment now that the customer answered; None when that question is no longer open.

    Call it inside a transaction.

    :raises ApiError: there is no such session
    """
    session = sessions.get(account, session_id)
    challenge = open_challenge(account, session)
    if challenge is None or challenge["id"] != challenge_id:
        return None
    if yes:
        card = KeptCard(**{name: value for name, value in challenge.items() if name != "id"})
        return payments.charge_card(account, session, card, decide_authenticated(card))
    intent = payments.intent(account, session["payment_intent"])
    intent |= {"status": "requires_payment_method", "last_payment_error": FAILURE}
    intent |= {"next_action": None, "_challenge": None}
    account.ledger.save(intent)
    account.emit("payment_intent.payment_failed", intent, BUYER)
    return payments.Attempt(session)
