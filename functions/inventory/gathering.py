"""Holding from several shards at once, when no single shard has enough.

A buyer who gathers takes whatever each shard has, and gives it all back if it is not enough: meanwhile others see empty
shards. If they were refused on that sight, tickets could stay unsold that somebody wanted. So gatherers pass a gate one
at a time, and only the one at the gate may refuse. That refusal is true: from each shard it took all there was, so what
is left over all shards is less than it wanted, and stock only shrinks (what others give back later counts as later).

The gate makes refusals right and waiting short; that nothing is sold twice rests on the holds alone. So a gate whose
owner died simply lapses.
"""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Final

from functions.inventory.pools import Allocation, HoldState, Pool
from functions.inventory.repository import Gate, Hold, InventoryRepository
from shared.kernel.clock import utc_now
from shared.kernel.errors import Contended
from shared.kernel.ids import OrderId
from shared.store.port import StoreError
from shared.telemetry import Log

TURN: Final = timedelta(seconds=5)
WAIT_SECONDS_MAX: Final = 20.0
POLL_SECONDS_MAX: Final = 0.05
TAKES_PER_SHARD_MAX: Final = 50

_log = Log("inventory")


class Superseded(Exception):
    """Somebody closed this placing attempt: its hold is a tombstone. Only a newer attempt may go on."""


class Gathering:
    """One order's turn at the gate of one pool."""

    def __init__(self, repository: InventoryRepository, pool: Pool, order_id: OrderId, attempt: int) -> None:
        self._repository = repository
        self._pool = pool
        self._order_id = order_id
        self._attempt = attempt

    async def gather(self, quantity: int, *, now: datetime) -> tuple[list[Allocation], int]:
        """Take up to `quantity`, shard by shard in ascending order, with the gate to ourselves.

        :returns: what was taken, and how much all shards together had
        :raises Contended: our turn did not come within `WAIT_SECONDS_MAX`
        :raises Superseded: the attempt was closed meanwhile
        """
        gate = await self._enter()
        taken: list[Allocation] = []
        total = 0
        try:
            await self._from_shards(taken, quantity, now)
            total = sum(part.quantity for part in taken)
            return taken, total
        finally:
            if total < quantity:
                for part in taken:
                    await self._repository.move(part, self._order_id, before=HoldState.HELD, after=HoldState.FREED)
            await self._leave(gate)

    async def _enter(self) -> Gate:
        owner = f"{self._order_id}:{self._attempt}"
        waited = 0.0
        while waited < WAIT_SECONDS_MAX:
            seen = await self._repository.gate(self._pool.pool_id)
            now = utc_now()
            if seen.until is None or seen.until < now:
                mine = await self._repository.pass_gate(self._pool, seen, owner=owner, until=now + TURN)
                if mine is not None:
                    return mine
            elif seen.owner == owner:
                return seen  # the answer to our taking it was lost
            pause = random.uniform(0, POLL_SECONDS_MAX)  # noqa: S311 - jitter, not a secret
            await asyncio.sleep(pause)
            waited += pause
        raise Contended("Many people want the last tickets at once; send the same request again.")

    async def _leave(self, gate: Gate) -> None:
        """Give the gate up; if the store will not, it lapses by itself, and what was gathered is none the worse."""
        try:
            await self._repository.pass_gate(self._pool, gate, owner="", until=None)
        except (StoreError, Contended) as error:
            _log.warning("gate_left_open", pool_id=self._pool.pool_id, reason=repr(error))

    async def _from_shards(self, taken: list[Allocation], quantity: int, now: datetime) -> None:
        missing = quantity
        for shard in range(self._pool.shards):
            hold = await self._from_shard(shard, missing, now)
            if hold is None:
                continue
            taken.append(
                Allocation(pool_id=self._pool.pool_id, shard=shard, quantity=hold.quantity, attempt=self._attempt)
            )
            missing -= hold.quantity
            if missing == 0:
                return

    async def _from_shard(self, shard: int, missing: int, now: datetime) -> Hold | None:
        """As much as the shard has, at most `missing`; None when it has nothing."""
        for _ in range(TAKES_PER_SHARD_MAX):
            available = (await self._repository.shard(self._pool.pool_id, shard)).available
            if available == 0:
                return None
            hold = await self._repository.take(
                self._pool,
                shard,
                order_id=self._order_id,
                attempt=self._attempt,
                quantity=min(available, missing),
                now=now,
            )
            if hold is not None:
                if hold.state is not HoldState.HELD:
                    raise Superseded(self._order_id)
                return hold
        raise Contended("The last tickets change hands quickly; send the same request again.")
