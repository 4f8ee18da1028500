"""Counted stock: a pool of capacity C split over n shards, and the holds taken from them. Pure."""

from datetime import datetime
from enum import StrEnum, unique
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from shared.kernel.clock import stamp
from shared.kernel.ids import EventId, OrderId, OrganiserId, PoolId
from shared.kernel.model import Model

SHARDS_MAX: Final = 32
CAPACITY_MAX: Final = 1_000_000
DEMAND_PER_SHARD: Final = 250  # holds a second one Cosmos physical partition carries, measured by others: 200–400


class Pool(Model):
    """Where stock is looked for: the pool and over how many shards it is split."""

    model_config = ConfigDict(frozen=True)

    organiser_id: OrganiserId
    event_id: EventId
    pool_id: PoolId
    shards: int = Field(ge=1, le=SHARDS_MAX)

    def partition(self, shard: int) -> str:
        """The partition of one shard."""
        return partition_of(self.pool_id, shard)


class Shard(Model):
    """The counters of one shard. Always: available + held + sold = capacity, each ≥ 0."""

    model_config = ConfigDict(extra="ignore")

    organiser_id: OrganiserId
    event_id: EventId
    pool_id: PoolId
    shard: int
    capacity: int
    available: int
    held: int = 0
    sold: int = 0

    def violations(self) -> list[str]:
        """What is wrong with the counters, in words; empty when all is well."""
        found = [f"{name} is negative" for name in ("available", "held", "sold") if getattr(self, name) < 0]
        if self.available + self.held + self.sold != self.capacity:
            found.append("available + held + sold differs from capacity")
        return found


@unique
class HoldState(StrEnum):
    """Held → sold → freed, or held → freed. Freed ones stay as tombstones, so a late repeat finds them."""

    HELD = "held"
    SOLD = "sold"
    FREED = "freed"


class Allocation(Model):
    """What an order holds in one shard.

    :param attempt: the placing attempt that took it; a hold's id carries order and attempt
    """

    model_config = ConfigDict(frozen=True)

    pool_id: PoolId
    shard: int
    quantity: int
    attempt: int


class Availability(BaseModel):
    """What is left of a pool, summed over its shards at slightly different moments."""

    available: int
    held: int
    sold: int
    capacity: int


def partition_of(pool_id: PoolId, shard: int) -> str:
    """Each shard is its own partition."""
    return f"{pool_id}#{shard}"


def hold_id(order_id: OrderId, attempt: int) -> str:
    """The id of an order's hold in any shard: creating it twice is one hold."""
    return f"hold:{order_id}:{attempt}"


def shards_for(expected_demand: int, capacity: int) -> int:
    """How many shards a pool needs, fixed at publication: 1 for the school hall, more for an on-sale.

    :param expected_demand: orders a second at the on-sale's peak
    """
    wanted = -(-expected_demand // DEMAND_PER_SHARD)
    return max(1, min(wanted, SHARDS_MAX, capacity))


def split(pool: Pool, capacity: int) -> list[dict[str, Any]]:
    """The shard documents of a new pool: their capacities differ by at most one and sum to `capacity`."""
    share, rest = divmod(capacity, pool.shards)
    return [
        {
            "kind": "shard",
            "unaudited": True,
            **Shard(
                organiser_id=pool.organiser_id,
                event_id=pool.event_id,
                pool_id=pool.pool_id,
                shard=shard,
                capacity=share + (shard < rest),
                available=share + (shard < rest),
            ).model_dump(mode="json"),
        }
        for shard in range(pool.shards)
    ]


def hold_document(
    pool: Pool, order_id: OrderId, attempt: int, quantity: int, *, state: HoldState, now: datetime
) -> dict[str, Any]:
    """A hold as stored; `held_since` is set only while it is held, which is what the repair timer looks for."""
    return {
        "kind": "hold",
        "organiser_id": pool.organiser_id,
        "event_id": pool.event_id,
        "pool_id": pool.pool_id,
        "order_id": order_id,
        "attempt": attempt,
        "quantity": quantity,
        "state": state.value,
        "held_since": stamp(now) if state is HoldState.HELD else None,
    }
