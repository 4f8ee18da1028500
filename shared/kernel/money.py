"""Money is an integer number of minor units and an ISO 4217 code; floats never touch it."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field

from shared.kernel.model import Model

# What we sell in: the provider charges these in the same minor units as ISO 4217 has them. It does not for ISK and UGX
# (https://docs.stripe.com/currencies), and wants three-decimal currencies rounded: those would be charged wrongly.
type Currency = Literal[
    "AUD", "BRL", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HKD", "INR", "JPY", "KRW", "MXN", "NOK", "NZD", "PLN",
    "RON", "SEK", "SGD", "THB", "USD", "ZAR",
]  # fmt: skip

AMOUNT_MINOR_MAX = 99_999_999  # Stripe's largest amount, https://docs.stripe.com/currencies
_WITHOUT_DECIMALS = frozenset({"JPY", "KRW"})


class Money(Model):
    """An amount in one currency.

    :param amount_minor: minor units (cents), zero or more
    :param currency: ISO 4217 code
    """

    model_config = ConfigDict(frozen=True)

    amount_minor: Annotated[int, Field(ge=0, strict=True)]
    currency: Currency

    def times(self, quantity: int) -> Self:
        """This amount `quantity` times over."""
        return self.model_copy(update={"amount_minor": self.amount_minor * quantity})

    def __str__(self) -> str:
        if self.currency in _WITHOUT_DECIMALS:
            return f"{self.amount_minor} {self.currency}"
        whole, rest = divmod(self.amount_minor, 100)
        return f"{whole}.{rest:02d} {self.currency}"
