"""`kill -9` of the host at random moments of an on-sale with card payments: afterwards everybody's books agree.

`make torture` runs the same with many more rounds (TORTURE_ROUNDS).
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.faults.books import read_books
from tests.faults.onsale import OnSale, on_sale, settled
from tests.faults.oracle import contradictions
from tests.faults.shop import Pool, Shop, opened

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "10"))
SEED = int(os.environ.get("TORTURE_SEED", "20261121"))
DEADLINE_SECONDS = 4
BUYERS = 12
# The feeds of a killed host wait for its leases to lapse (5 s): some rounds are long enough to see them at work.
ALIVE_SECONDS = (0.2, 0.5, 1.0, 2.0, 3.5, 7.0)
SETTLED_SECONDS = 150.0  # normally about 20: locks lapse after 15, a mail in hand at the last kill after 45


async def killed_again_and_again(shop: Shop, chance: random.Random) -> None:
    """The rounds; a third through the payment double dies too, two thirds through the mailbox."""
    doubles = {ROUNDS // 3: "stripe", 2 * ROUNDS // 3: "mailbox"}
    for round_ in range(ROUNDS):
        await asyncio.sleep(chance.choice(ALIVE_SECONDS) * chance.uniform(0.5, 1.2))
        host = shop.stack.host
        assert host is not None
        host.kill()
        if round_ in doubles:
            shop.stack.kill_emulator(doubles[round_])
            await asyncio.to_thread(shop.stack.start_emulator, doubles[round_])
        await asyncio.to_thread(shop.stack.start_host)


async def reconciled(shop: Shop, sale: OnSale) -> None:
    """Let everything settle, then compare the books."""
    seconds = await settled(shop, seconds=SETTLED_SECONDS)
    books = await read_books(shop, sale.answers)
    states = {state: sum(o["state"] == state for o in books.orders.values()) for state in sorted(
        {o["state"] for o in books.orders.values()})}  # fmt: skip
    print(
        f"orders {states}, payments {len(books.intents)}, refunds {len(books.refunds)}, mails {books.mails.total()} "
        f"({books.mails.total() - len(books.mails)} second copies), connections lost {sale.answers.interrupted}, "
        f"refused {sale.answers.refused}, settled in {seconds:.1f} s"
    )
    assert contradictions(books) == []
    assert states["paid"] > ROUNDS
    assert states["expired"] > 0
    assert len(sale.answers.paid_pages) > ROUNDS


@pytest.mark.torture
async def test_nothing_is_oversold_lost_or_left_behind_when_the_host_is_killed_at_random_moments(
    tmp_path: Path,
) -> None:
    pools = [Pool("floor", 130 * ROUNDS, demand=1000), Pool("balcony", 12 * ROUNDS, price=6800)]
    async with opened(tmp_path, pools, deadline_seconds=DEADLINE_SECONDS) as shop:
        async with on_sale(shop, buyers=BUYERS, deadline_seconds=DEADLINE_SECONDS, seed=SEED) as sale:
            await killed_again_and_again(shop, random.Random(SEED))
        await reconciled(shop, sale)
