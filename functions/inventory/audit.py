"""The inventory's audit: do the counters of every shard add up, and do its holds say the same?

Every patch moves places between counters, so their sum alone proves little: what is compared is each counter with the
sum over the holds. Only shards that changed since this process last found them right are summed again, so that the cost
follows what is being sold and not what ever was.
"""

from dataclasses import dataclass

from functions.inventory.pools import HoldState, Shard
from functions.inventory.repository import InventoryRepository
from shared.kernel.ids import PoolId
from shared.telemetry import Log, count

_log = Log("inventory")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the audit saw.

    :param violations: shards whose counters do not add up, each with what is wrong
    :param moving: shards that were being sold from while their holds were summed; they are looked at next time
    """

    shards: int
    capacity: int
    available: int
    held: int
    sold: int
    moving: int
    violations: list[str]


class Audit:
    """Looks at every shard."""

    def __init__(self, repository: InventoryRepository) -> None:
        self._repository = repository
        self._right: dict[tuple[PoolId, int], str] = {}

    async def run(self) -> Finding:
        """Look at all shards, and count (`inventory_violations`) and log those that are wrong."""
        shards: list[Shard] = []
        violations: list[str] = []
        moving = 0
        async for shard, etag in self._repository.shards():
            shards.append(shard)
            wrong = shard.violations()
            if self._right.get((shard.pool_id, shard.shard)) != etag:
                unlike = await self._unlike_its_holds(shard, etag)
                moving += unlike is None
                wrong += unlike or []
                if not wrong and unlike is not None:
                    self._right[shard.pool_id, shard.shard] = etag
            violations += [f"{shard.pool_id}#{shard.shard}: {each}" for each in wrong]
        if violations:
            count("inventory_violations", len(violations))
            _log.error("inventory_violations", violations=violations[:20], number=len(violations))
        return Finding(
            shards=len(shards),
            capacity=sum(shard.capacity for shard in shards),
            available=sum(shard.available for shard in shards),
            held=sum(shard.held for shard in shards),
            sold=sum(shard.sold for shard in shards),
            moving=moving,
            violations=violations,
        )

    async def _unlike_its_holds(self, shard: Shard, etag: str) -> list[str] | None:
        """Where counters and holds differ; None if the shard changed under our eyes, so that nothing can be said."""
        sums = await self._repository.hold_sums(shard.pool_id, shard.shard)
        if await self._repository.shard_etag(shard.pool_id, shard.shard) != etag:
            return None
        counters = {HoldState.HELD: shard.held, HoldState.SOLD: shard.sold}
        return [
            f"{state} is {counter}, its holds say {sums[state]}"
            for state, counter in counters.items()
            if sums[state] != counter
        ]
