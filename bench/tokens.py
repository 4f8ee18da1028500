"""What it costs to know who sends a request: its token, checked in this process with the keys of the sign-in double."""

import time
from typing import Final

from bench.shop import Shop, tokens
from local.stack import AUDIENCE
from shared.auth.tokens import TokenValidator
from shared.kernel.clock import utc_now

PEOPLE: Final = 1_000
REQUESTS_PER_TOKEN: Final = 20  # a visitor's hour: some pages of lists, an event, an order, looking whether it is paid


async def validation(shop: Shop, _: float) -> dict[str, float]:
    """Microseconds a request, amortised over `REQUESTS_PER_TOKEN` with one token; and of the first one, and the rest.

    Nobody's second request comes before everybody's first, so that all tokens are remembered at once.
    """
    people = await tokens(shop.stack, {"count": PEOPLE, "prefix": "token"})
    validator = TokenValidator([shop.stack.authority], AUDIENCE)
    assert await validator.ready()
    first = await _round_us(validator, people)
    rest = [await _round_us(validator, people) for _ in range(REQUESTS_PER_TOKEN - 1)]
    return {
        "token_validation_us": (first + sum(rest)) / REQUESTS_PER_TOKEN,
        "token_first_us": first,
        "token_again_us": sum(rest) / len(rest),
    }


async def _round_us(validator: TokenValidator, people: list[str]) -> float:
    began = time.perf_counter()
    for token in people:
        await validator.caller(token, utc_now())
    return (time.perf_counter() - began) / len(people) * 1e6
