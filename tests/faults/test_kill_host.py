"""`kill -9` of the host at random moments of an on-sale with card payments: afterwards everybody's books agree.

`make torture` runs the same with many more rounds (TORTURE_ROUNDS).
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.faults.onsale import on_sale, reconciled
from tests.faults.shop import Pool, Shop, opened

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "10"))
SEED = int(os.environ.get("TORTURE_SEED", "20261121"))
DEADLINE_SECONDS = 4
BUYERS = 16
RUSHERS = 6  # who keep up to some hundred places each until the deadline
PAUSE_SECONDS = 0.05
# The feeds of a killed host wait for its leases to lapse (5 s): some rounds are long enough to see them at work.
ALIVE_SECONDS = (0.2, 0.5, 1.0, 2.0, 3.5, 7.0)
# Normally 15 to 45: locks lapse after 15, the claim on a mail in hand at the last kill after 45.
SETTLED_SECONDS = 150.0


async def killed_again_and_again(shop: Shop, chance: random.Random) -> None:
    """The rounds; a third through the payment double dies too, two thirds through the mailbox."""
    pauses = [ALIVE_SECONDS[round_ % len(ALIVE_SECONDS)] for round_ in range(ROUNDS)]
    chance.shuffle(pauses)
    doubles = {ROUNDS // 3: "stripe", 2 * ROUNDS // 3: "mailbox"}
    for round_, pause in enumerate(pauses):
        await asyncio.sleep(pause * chance.uniform(0.5, 1.2))
        host = shop.stack.host
        assert host is not None
        host.kill()
        if round_ in doubles:
            shop.stack.kill_emulator(doubles[round_])
            await asyncio.to_thread(shop.stack.start_emulator, doubles[round_])
        await asyncio.to_thread(shop.stack.start_host)


@pytest.mark.torture
async def test_nothing_is_oversold_lost_or_left_behind_when_the_host_is_killed_at_random_moments(
    tmp_path: Path,
) -> None:
    pools = [Pool("floor", 1_500 + 100 * ROUNDS, demand=1000), Pool("balcony", 12 * ROUNDS, price=6800)]
    async with opened(tmp_path, pools, deadline_seconds=DEADLINE_SECONDS) as shop:
        async with on_sale(
            shop,
            buyers=BUYERS,
            deadline_seconds=DEADLINE_SECONDS,
            seed=SEED,
            pause_seconds=PAUSE_SECONDS,
            rushers=RUSHERS,
            least=ROUNDS + 1,
        ) as sale:
            await killed_again_and_again(shop, random.Random(SEED))
        states = await reconciled(shop, sale, seconds=SETTLED_SECONDS)

    assert states["paid"] > ROUNDS
    assert states["expired"] > 0
    assert len(sale.answers.paid_pages) > ROUNDS
