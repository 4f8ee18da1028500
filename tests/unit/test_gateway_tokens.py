"""What the gateway remembers of a token it found good, and for how long."""

import time

import pytest

from local.host.gateway.tokens import REMEMBERED_SECONDS, TokenCheck, TokenRules
from tests.doubles.authority import AUDIENCE, tenants


@pytest.mark.parametrize(
    ("lives", "skew", "known", "gone"),
    [
        (10, 0, 9.0, 10.0),
        (10, 20, 29.0, 30.0),
        (3_600, 60, REMEMBERED_SECONDS - 1, REMEMBERED_SECONDS + 1),
    ],
    ids=["until it expires", "and the leeway", "a minute at most"],
)
async def test_a_good_token_is_remembered_until_it_expires_and_no_longer_than_a_minute(
    lives: int, skew: int, known: float, gone: float
) -> None:
    async with tenants() as host:
        tenant = host.tenant("t", "k")
        check = TokenCheck(TokenRules((tenant.url,), (AUDIENCE,), (), skew, 401, ""))
        now = int(time.time())
        token = tenant.token("k", exp=now + lives)

        good = await check.check(token)

    assert check.remembered(token, now + known) is good
    assert check.remembered(token, now + gone) is None
    assert check.remembered(f"{token}x", now) is None
