"""What a contract suite is run against: an adapter, and a way to let time pass for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.bus.port import Bus, DeadLetters, Receiver
from shared.store.port import ChangeFeed, Store

type PassTime = Callable[[float], Awaitable[None]]


@dataclass
class FakeClock:
    """A clock that moves only when told to."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 5, 1, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        """The present moment."""
        return self.moment

    async def pass_time(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self.moment += timedelta(seconds=seconds)


@dataclass(frozen=True)
class StoreUnderTest:
    """A store, its change feed where it has one we drive, and how time passes for it."""

    store: Store
    feed: ChangeFeed | None
    pass_time: PassTime
    now: Callable[[], datetime]


@dataclass(frozen=True)
class BusUnderTest:
    """A bus, its receiving half, its dead letters, and how time passes for it."""

    bus: Bus
    receiver: Receiver
    dead_letters: DeadLetters
    pass_time: PassTime
    now: Callable[[], datetime]
