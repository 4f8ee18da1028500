"""The inventory's audit: do the counters of every shard add up, and do its holds say the same?

Every patch moves places between counters, so their sum alone proves little: what is compared is each counter with the
sum over the holds. Whatever changes a counter marks its shard as unaudited, and an audit that finds it right takes the
mark away: so the cost follows what is being sold and not what ever was, whichever process audits. Who asks by hand gets
everything compared, whatever the marks say.
"""

from dataclasses import dataclass, field

from functions.inventory.pools import HoldState
from functions.inventory.repository import InventoryRepository, StoredShard
from shared.telemetry import Log, count

_log = Log("inventory")


@dataclass(slots=True)
class Finding:
    """What the audit saw.

    :param violations: shards whose counters do not add up, each with what is wrong
    :param moving: shards that were being sold from while their holds were summed; they are looked at next time
    """

    shards: int = 0
    capacity: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0
    moving: int = 0
    violations: list[str] = field(default_factory=list)


class Audit:
    """Looks at shards."""

    def __init__(self, repository: InventoryRepository) -> None:
        self._repository = repository

    async def of_changes(self) -> Finding:
        """Look at the shards that changed since they were last found right."""
        return await self._run(unaudited=True)

    async def of_everything(self) -> Finding:
        """Look at every shard there ever was and at all its holds, marked or not: by hand, for it takes its time."""
        return await self._run(unaudited=False)

    async def _run(self, *, unaudited: bool) -> Finding:
        """Count (`inventory_violations`) and log what is wrong."""
        finding = Finding()
        async for read in self._repository.shards(unaudited=unaudited):
            await self._look_at(read, finding)
        if finding.violations:
            count("inventory_violations", len(finding.violations))
            _log.error("inventory_violations", violations=finding.violations[:20], number=len(finding.violations))
        return finding

    async def _look_at(self, read: StoredShard, finding: Finding) -> None:
        shard = read.shard
        finding.shards += 1
        finding.capacity += shard.capacity
        finding.available += shard.available
        finding.held += shard.held
        finding.sold += shard.sold
        wrong, unlike = shard.violations(), await self._unlike_its_holds(read)
        # What was found means nothing if the shard changed under our eyes.
        still = await self._repository.is_still(read) if wrong or unlike else await self._repository.found_right(read)
        finding.moving += not still
        wrong += unlike if still else []
        finding.violations += [f"{shard.pool_id}#{shard.shard}: {each}" for each in wrong]

    async def _unlike_its_holds(self, read: StoredShard) -> list[str]:
        """Where counters and holds differ."""
        shard = read.shard
        sums = await self._repository.hold_sums(shard.pool_id, shard.shard)
        counters = {HoldState.HELD: shard.held, HoldState.SOLD: shard.sold}
        return [
            f"{state} is {counter}, its holds say {sums[state]}"
            for state, counter in counters.items()
            if sums[state] != counter
        ]
