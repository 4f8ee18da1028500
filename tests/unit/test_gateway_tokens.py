"""What the gateway remembers of a token it found good, and for how long."""

import time

import pytest

from local.host.gateway.tokens import REMEMBERED_SECONDS, TokenCheck, TokenRules
from tests.doubles.authority import AUDIENCE, tenants


@pytest.mark.parametrize(
    ("lives", "skew", "known", "gone", "ends"),
    [
        (10, 0, 9.0, 10.0, True),
        (10, 20, 29.0, 30.0, True),
        (3_600, 60, REMEMBERED_SECONDS - 1, REMEMBERED_SECONDS, False),
    ],
    ids=["until it expires", "and the leeway", "a minute at most"],
)
async def test_a_good_token_is_remembered_until_it_expires_and_no_longer_than_a_minute(
    lives: int, skew: int, known: float, gone: float, ends: bool
) -> None:
    async with tenants() as host:
        tenant = host.tenant("t", "k")
        check = TokenCheck(TokenRules((tenant.url,), (AUDIENCE,), (), skew, 401, ""))
        before = int(time.time())
        token = tenant.token("k", exp=before + lives)

        good = await check.check(token)
        # A token ends at its second; what is remembered of it, so long after it was checked.
        checked = before if ends else time.time()

    assert check.remembered(token, before + known) is good
    assert check.remembered(token, checked + gone) is None
    assert check.remembered(f"{token}x", before) is None
