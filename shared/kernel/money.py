"""Money is an integer number of minor units and an ISO 4217 code; floats never touch it."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

type Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code", examples=["EUR"])]

AMOUNT_MINOR_MAX = 99_999_999  # Stripe's largest amount, https://docs.stripe.com/currencies
_EXPONENT = {"JPY": 0, "KRW": 0, "ISK": 0, "CLP": 0, "VND": 0, "BHD": 3, "KWD": 3, "TND": 3, "OMR": 3, "JOD": 3}


class Money(BaseModel):
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
        exponent = _EXPONENT.get(self.currency, 2)
        if exponent == 0:
            return f"{self.amount_minor} {self.currency}"
        whole, rest = divmod(self.amount_minor, 10**exponent)
        return f"{whole}.{rest:0{exponent}d} {self.currency}"
