"""All interleavings of a few coroutines: each stands still before every call of a port, and one at a time may go on."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.kernel.money import Money
from shared.payments.port import Payments, Session, SessionRequest, Told
from shared.store.port import Document, Everywhere, OrderBy, Page, Store, Where, Write
from tests.doubles.stores import Passing

STEPS_MAX = 200  # more would be a race that never ends

type Work = Callable[[], Awaitable[object]]


@dataclass
class Turns:
    """Hands out turns; coroutines it does not drive pass freely.

    :param schedule: whose turn each time, as an index into those still at work; past its end the first goes on
    :param taken: the choices made, each with how many there were to choose from
    """

    schedule: Sequence[int] = ()
    taken: list[tuple[int, int]] = field(default_factory=list)
    _gates: dict[asyncio.Task[object], asyncio.Event] = field(default_factory=dict)
    _standing: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Stand still until it is the caller's turn."""
        gate = self._gates.get(_this_task())
        if gate is None:
            return
        self._standing.set()
        await gate.wait()
        gate.clear()

    async def drive(self, works: Mapping[str, Work]) -> dict[str, object]:
        """Run all works by the schedule; each one's result or exception, by name."""
        tasks: dict[str, asyncio.Task[object]] = {}
        for name, work in works.items():
            task = asyncio.ensure_future(_run(work))
            self._gates[task] = asyncio.Event()
            task.add_done_callback(lambda _: self._standing.set())
            tasks[name] = task
            await self._stands(task)
        for step in range(STEPS_MAX):
            at_work = [task for task in tasks.values() if not task.done()]
            if not at_work:
                break
            choice = self.schedule[step] % len(at_work) if step < len(self.schedule) else 0
            self.taken.append((choice, len(at_work)))
            self._standing.clear()
            self._gates[at_work[choice]].set()
            await self._stands(at_work[choice])
        assert all(task.done() for task in tasks.values()), "the race did not end"
        return {name: task.exception() or task.result() for name, task in tasks.items()}

    async def _stands(self, task: asyncio.Task[object]) -> None:
        await self._standing.wait()
        if not task.done():
            self._standing.clear()


def every_schedule(schedules_max: int, *, seed: int = 0) -> Iterator[Turns]:
    """Turns for every interleaving, depth first; of more than `schedules_max`, as many again drawn at random.

    The caller drives each `Turns` before it asks for the next, because what was taken decides what is left.
    """
    schedule: list[int] | None = []
    for _ in range(schedules_max):
        turns = Turns(schedule or ())
        yield turns
        schedule = _next(turns.taken)
        if schedule is None:
            return
    draw = random.Random(seed)
    for _ in range(schedules_max):
        favourite = draw.randrange(6)  # else whoever has the longest way is always the last
        yield Turns([draw.choice((favourite, draw.randrange(6))) for _ in range(STEPS_MAX)])


def _next(taken: Sequence[tuple[int, int]]) -> list[int] | None:
    for length in range(len(taken) - 1, -1, -1):
        choice, choices = taken[length]
        if choice + 1 < choices:
            return [*(each for each, _ in taken[:length]), choice + 1]
    return None


class SteppingStore(Passing):
    """A store each of whose calls takes a turn."""

    def __init__(self, inner: Store, turns: Turns) -> None:
        super().__init__(inner)
        self._turns = turns

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        await self._turns.wait()
        return await super().read(container, partition, id)

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        await self._turns.wait()
        return await super().commit(container, partition, writes)

    async def query(
        self,
        container: str,
        partition: str | Everywhere,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int = 50,
        continuation: str | None = None,
    ) -> Page:
        """See `Store.query`."""
        await self._turns.wait()
        return await super().query(
            container, partition, where=where, order_by=order_by, limit=limit, continuation=continuation
        )


class SteppingPayments:
    """A provider each of whose calls takes a turn."""

    def __init__(self, inner: Payments, turns: Turns) -> None:
        self._inner = inner
        self._turns = turns

    async def open_session(self, request: SessionRequest) -> Session:
        """See `Payments.open_session`."""
        await self._turns.wait()
        return await self._inner.open_session(request)

    async def session(self, session_id: str) -> Session:
        """See `Payments.session`."""
        await self._turns.wait()
        return await self._inner.session(session_id)

    async def expire_session(self, session_id: str) -> Session:
        """See `Payments.expire_session`."""
        await self._turns.wait()
        return await self._inner.expire_session(session_id)

    async def refund(self, payment_id: str, *, amount: Money, key: str) -> str:
        """See `Payments.refund`."""
        await self._turns.wait()
        return await self._inner.refund(payment_id, amount=amount, key=key)

    def read_webhook(self, body: bytes, signature: str) -> Told | None:
        """See `Payments.read_webhook`."""
        return self._inner.read_webhook(body, signature)


async def _run(work: Work) -> object:
    return await work()


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None, "ports are called from tasks"
    return task
