"""The inventory's audit: do the counters of every shard still add up?"""

from dataclasses import dataclass

from functions.inventory.repository import InventoryRepository
from shared.telemetry import Log, count

_log = Log("inventory")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the audit saw.

    :param violations: shards whose counters do not add up, each with what is wrong
    """

    shards: int
    capacity: int
    available: int
    held: int
    sold: int
    violations: list[str]


class Audit:
    """Looks at every shard."""

    def __init__(self, repository: InventoryRepository) -> None:
        self._repository = repository

    async def run(self) -> Finding:
        """Sum up all shards, and count (`inventory_violations`) and log those that do not add up."""
        shards = [shard async for shard in self._repository.shards()]
        violations = [f"{shard.pool_id}#{shard.shard}: {wrong}" for shard in shards for wrong in shard.violations()]
        if violations:
            count("inventory_violations", len(violations))
            _log.error("inventory_violations", violations=violations[:20], number=len(violations))
        return Finding(
            shards=len(shards),
            capacity=sum(shard.capacity for shard in shards),
            available=sum(shard.available for shard in shards),
            held=sum(shard.held for shard in shards),
            sold=sum(shard.sold for shard in shards),
            violations=violations,
        )
