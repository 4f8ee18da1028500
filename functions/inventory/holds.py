"""Holding, selling and freeing counted stock. A hold belongs to an order and never lapses by the clock."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from zlib import crc32

from functions.inventory.gathering import Gathering, Superseded
from functions.inventory.pools import Allocation, Availability, HoldState, Pool
from functions.inventory.repository import InventoryRepository
from shared.kernel.errors import Contended, DomainError, Kind
from shared.kernel.ids import OrderId, PoolId
from shared.telemetry import Log, count

REMEMBERED_SECONDS: Final = 0.25  # how long a refusal may rest on an earlier look
REMEMBERED_POOLS_MAX: Final = 1_000
RESTOCK_LOOKS_MAX: Final = 5  # a hold moves twice in its life
_log = Log("inventory")


class PoolShort(DomainError):
    """Fewer places are left than were asked for."""

    kind = Kind.CONFLICT


class Holds:
    """The use cases of counted stock."""

    def __init__(self, repository: InventoryRepository) -> None:
        self._repository = repository
        self._short: OrderedDict[PoolId, tuple[int, float]] = OrderedDict()

    async def hold(
        self, *, order_id: OrderId, attempt: int, demands: Sequence[tuple[Pool, int]], now: datetime
    ) -> list[Allocation]:
        """Hold every demanded quantity for `order_id`, or nothing.

        Called once for each attempt: whoever asks again does so as the next one, and this one's holds are abandoned.

        :param demands: pools and how many places of each; a pool appears once
        :raises PoolShort: a pool has not enough; everything taken was given back
        :raises Contended: too many buyers gather the last places just now; everything taken was given back
        :raises Superseded: the attempt was closed by a later one or by the order's end
        """
        taken: list[Allocation] = []
        for pool, quantity in demands:
            try:
                taken += await self._hold_one(pool, quantity, order_id=order_id, attempt=attempt, now=now)
            except Exception as error:
                # Whatever the reason, an order that is not placed must not keep others from buying.
                await self.free(taken, order_id=order_id)
                if isinstance(error, PoolShort):
                    count("holds_refused")
                raise
        return taken

    async def sell(self, held: Iterable[Allocation], *, order_id: OrderId) -> None:
        """Turn holds into sold places; those already sold, or freed by a refund that overtook us, stay as they are."""
        for part in held:
            if not await self._repository.move(part, order_id, before=HoldState.HELD, after=HoldState.SOLD):
                _log.info("hold_not_held", order_id=order_id, pool_id=part.pool_id, wanted="sell")

    async def free(self, held: Iterable[Allocation], *, order_id: OrderId) -> None:
        """Give held places back; those already given back stay as they are."""
        for part in held:
            if not await self._repository.move(part, order_id, before=HoldState.HELD, after=HoldState.FREED):
                _log.info("hold_not_held", order_id=order_id, pool_id=part.pool_id, wanted="free")

    async def restock(self, held: Iterable[Allocation], *, order_id: OrderId) -> int:
        """Give places of a refunded order back, sold or (when the refund overtook the sale) still held; how many holds.

        :raises Contended: the hold kept moving under us
        """
        return sum([await self._restock_one(part, order_id) for part in held])

    async def abandon(
        self, pools: Sequence[Pool], *, order_id: OrderId, attempts: Sequence[int], now: datetime
    ) -> None:
        """Free whatever unrecorded attempts took, in any shard, and entomb the rest so that nothing is taken later."""
        for pool in pools:
            for shard in range(pool.shards):
                for attempt in attempts:
                    await self._abandon_one(pool, shard, order_id=order_id, attempt=attempt, now=now)

    async def all_taken(self, pools: Sequence[Pool]) -> bool:
        """Whether no place is left in any of the pools; looks only until it finds one."""
        for pool in pools:
            for shard in range(pool.shards):
                if (await self._repository.shard(pool.pool_id, shard)).available > 0:
                    return False
        return True

    async def availability(self, pool: Pool) -> Availability:
        """What is left of a pool."""
        shards = [await self._repository.shard(pool.pool_id, shard) for shard in range(pool.shards)]
        return Availability(
            available=sum(shard.available for shard in shards),
            held=sum(shard.held for shard in shards),
            sold=sum(shard.sold for shard in shards),
            capacity=sum(shard.capacity for shard in shards),
        )

    async def open(self, pool: Pool, capacity: int) -> None:
        """Create the shards of a pool of `capacity` places; again changes nothing."""
        await self._repository.open(pool, capacity)

    async def _hold_one(
        self, pool: Pool, quantity: int, *, order_id: OrderId, attempt: int, now: datetime
    ) -> list[Allocation]:
        self._refuse_if_remembered_short(pool.pool_id, quantity)
        first = crc32(order_id.encode()) % pool.shards  # spreads buyers; the same order always starts at the same shard
        for step in range(pool.shards):
            shard = (first + step) % pool.shards
            hold = await self._repository.take(
                pool, shard, order_id=order_id, attempt=attempt, quantity=quantity, now=now
            )
            if hold is not None:
                if hold.state is not HoldState.HELD:
                    raise Superseded(order_id)
                assert hold.quantity == quantity, "an attempt holds once; it cannot find a part it gathered before"
                return [Allocation(pool_id=pool.pool_id, shard=shard, quantity=hold.quantity, attempt=attempt)]
        if pool.shards == 1:
            left = (await self._repository.shard(pool.pool_id, 0)).available
            raise self._short_of(pool.pool_id, quantity, left)
        taken, total = await Gathering(self._repository, pool, order_id, attempt).gather(quantity, now=now)
        if total < quantity:
            raise self._short_of(pool.pool_id, quantity, total)
        return taken

    def _refuse_if_remembered_short(self, pool_id: PoolId, quantity: int) -> None:
        left, seen_at = self._short.get(pool_id, (0, float("-inf")))
        if time.monotonic() - seen_at < REMEMBERED_SECONDS and left < quantity:
            raise PoolShort(f"Only {left} left, {quantity} wanted.", left=left, wanted=quantity, pool_id=pool_id)

    def _short_of(self, pool_id: PoolId, quantity: int, left: int) -> PoolShort:
        left = min(left, quantity - 1)  # a place freed since the refusal was decided does not make it look wrong
        self._short[pool_id] = (left, time.monotonic())
        if len(self._short) > REMEMBERED_POOLS_MAX:
            self._short.popitem(last=False)
        return PoolShort(f"Only {left} left, {quantity} wanted.", left=left, wanted=quantity, pool_id=pool_id)

    async def _restock_one(self, part: Allocation, order_id: OrderId) -> bool:
        for _ in range(RESTOCK_LOOKS_MAX):
            hold = await self._repository.hold(part.pool_id, part.shard, order_id, part.attempt)
            if hold is None:
                continue  # the order says that it has it: the store does not show it yet
            if hold.state is HoldState.FREED:
                return False
            if await self._repository.move(part, order_id, before=hold.state, after=HoldState.FREED):
                return True
        raise Contended("The hold is being moved; later.")

    async def _abandon_one(self, pool: Pool, shard: int, *, order_id: OrderId, attempt: int, now: datetime) -> None:
        if await self._repository.entomb(pool, shard, order_id=order_id, attempt=attempt, now=now):
            return
        hold = await self._repository.hold(pool.pool_id, shard, order_id, attempt)
        if hold is None:
            raise Contended("The store has the hold, and does not show it yet; later.")
        if hold.state is HoldState.HELD:
            part = Allocation(pool_id=pool.pool_id, shard=shard, quantity=hold.quantity, attempt=attempt)
            await self._repository.move(part, order_id, before=HoldState.HELD, after=HoldState.FREED)
