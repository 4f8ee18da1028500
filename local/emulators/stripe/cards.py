"""Cards: which numbers exist, and what Stripe's test cards do (https://docs.stripe.com/testing)."""

import re
from dataclasses import dataclass

VISA_SUCCEEDS = "4242424242424242"


@dataclass(frozen=True)
class KeptCard:
    """What Stripe shows to merchants of a card. Nothing else of a card is ever written down.

    :param exp_month: 0 where it is not known, as is `exp_year`
    """

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    name: str


@dataclass(frozen=True)
class Card:
    """What a buyer types into the form, as typed."""

    number: str = VISA_SUCCEEDS
    expiry: str = "12 / 34"
    cvc: str = "123"
    name: str = "Test Buyer"

    @property
    def digits(self) -> str:
        """The number without its spaces."""
        return re.sub(r"[\s-]", "", self.number)

    @property
    def brand(self) -> str:
        """The network that issued the number."""
        return {"4": "visa", "5": "mastercard", "2": "mastercard", "3": "amex", "6": "discover"}.get(
            self.digits[:1], "unknown"
        )

    @property
    def expires(self) -> tuple[int, int] | None:
        """Year and month, or None where the text is no date."""
        matched = re.fullmatch(r"\s*(\d{1,2})\s*/?\s*(?:20)?(\d{2})\s*", self.expiry)
        if matched is None or not 1 <= int(matched[1]) <= 12:
            return None
        return 2000 + int(matched[2]), int(matched[1])

    @property
    def kept(self) -> KeptCard:
        """What may be written down of it."""
        year, month = self.expires or (0, 0)
        return KeptCard(self.brand, self.digits[-4:], month, year, self.name)

    def problems(self, *, year: int, month: int) -> dict[str, str]:
        """What the form must say beside each field, judged in the month given."""
        found = {}
        if not (12 <= len(self.digits) <= 19 and self.digits.isdecimal() and _luhn(self.digits)):
            found["number"] = "Your card number is invalid."
        if self.expires is None:
            found["expiry"] = "Your card's expiration date is incomplete."
        elif self.expires < (year, month):
            found["expiry"] = "Your card's expiration date is in the past."
        if re.fullmatch(r"\d{4}" if self.brand == "amex" else r"\d{3}", self.cvc.strip()) is None:
            found["cvc"] = "Your card's security code is incomplete."
        if not self.name.strip():
            found["name"] = "Enter the name on the card."
        return found


@dataclass(frozen=True)
class Decline:
    """Why the bank said no."""

    code: str
    reason: str | None
    message: str


_GOOD = {
    VISA_SUCCEEDS,
    "4000056655665556",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
}
_DECLINES = {
    "4000000000000002": Decline("card_declined", "generic_decline", "Your card was declined."),
    "4000000000009995": Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "4000000000009987": Decline("card_declined", "lost_card", "Your card was declined."),
    "4000000000000069": Decline("expired_card", None, "Your card has expired."),
    "4000000000000127": Decline("incorrect_cvc", None, "Your card's security code is incorrect."),
    "4000000000000119": Decline("processing_error", None, "An error occurred while processing your card. Try again."),
}
# Their banks want 3-D Secure for every payment (https://docs.stripe.com/testing#regulatory-cards), and then say this.
_AUTHENTICATED: dict[str, Decline | None] = {
    "4000002500003155": None,
    "4000002760003184": None,
    "4000000000003220": None,
    "4000008260003178": Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "4000008400001629": Decline("card_declined", "generic_decline", "Your card was declined."),
}
_AUTHENTICATED_BY_LAST4 = {number[-4:]: decline for number, decline in _AUTHENTICATED.items()}
assert len(_AUTHENTICATED_BY_LAST4) == len(_AUTHENTICATED), "while the bank asks, its last digits stand for a card"
_NOT_A_TEST_CARD = Decline(
    "card_declined", "test_mode_live_card", "Your card was declined. This is test mode: use a test card."
)


def wants_authentication(card: Card) -> bool:
    """Whether the bank asks its customer first, on a page of its own (3-D Secure)."""
    return card.digits in _AUTHENTICATED


def decide(card: Card) -> Decline | None:
    """The bank's word on a well-formed card about which it does not ask its customer: None is yes."""
    return None if card.digits in _GOOD else _DECLINES.get(card.digits, _NOT_A_TEST_CARD)


def decide_authenticated(card: KeptCard) -> Decline | None:
    """The bank's word on a card after its customer said yes: None is yes."""
    return _AUTHENTICATED_BY_LAST4[card.last4]


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
