"""A shop whose processes die, whose store misbehaves and whose messages arrive when the test says."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from functions.composition import Adapters, UseCases, use_cases
from functions.sales.repository import ORDERS
from functions.sales.webhook import Webhook
from shared.bus.port import Message
from shared.kernel.errors import DomainError
from shared.kernel.ids import OrderId
from shared.payments.port import Session
from shared.store.chaos import ChaosStore, Misbehaviour
from shared.store.embedded import EmbeddedStore
from shared.store.port import Document, StoreError, Write
from tests.doubles.mailbag import Mailbag
from tests.doubles.provider import SIGNATURE, Provider
from tests.doubles.stores import Passing
from tests.factories import catalog
from tests.factories import settings as factory
from tests.property.backroom import QUEUES, Backroom


class Died(BaseException):
    """`kill -9`: no handler of the product may catch it."""


class Mortal(Passing):
    """Dies at its nth commit, before or after it happened; a dead process does nothing more.

    :param commits: it lives through; None: it lives on
    """

    def __init__(self, inner: ChaosStore, commits: int | None, *, after: bool) -> None:
        super().__init__(inner)
        self._left = commits
        self._after = after
        self._dead = False

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        if self._dead:
            raise Died
        return await super().read(container, partition, id)

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        if self._dead:
            raise Died
        if self._left is None:
            return await super().commit(container, partition, writes)
        self._left -= 1
        self._dead = self._left < 0
        if self._dead and not self._after:
            raise Died
        etags = await super().commit(container, partition, writes)
        if self._dead:
            raise Died
        return etags


@dataclass(frozen=True)
class Mishap:
    """What goes wrong during one act.

    :param dies_at: the commit the process dies at, counted from 0; None: it lives
    :param after: it dies just after the commit instead of just before
    :param chaos: a misbehaviour of the store, by name
    :param provider: what becomes of the provider's next answer
    """

    dies_at: int | None = None
    after: bool = False
    chaos: str = ""
    provider: str = ""

    @property
    def harmless(self) -> bool:
        """Nothing goes wrong."""
        return self == Mishap()


NONE = Mishap()


@dataclass(frozen=True)
class Ending[T]:
    """How an act ended.

    :param done: it went through
    :param refusal: it was refused, or gave up
    """

    value: T | None = None
    done: bool = False
    refusal: Exception | None = None


class World:
    """The shop and all that is around it.

    `post` has every message there ever was with its queue; `waiting` says which must still arrive.
    """

    def __init__(self, *, pools: dict[str, int], prices: dict[str, int], shards: int, seed: int) -> None:
        self._stack = ExitStack()
        self._data = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._runner = self._stack.enter_context(asyncio.Runner())
        self.now = catalog.NOW
        self.provider = Provider(clock=lambda: self.now)
        self.bag = Mailbag()
        self._adapters = self._stack.enter_context(factory.adapters(self._data, bus=self.bag, payments=self.provider))
        assert isinstance(self._adapters.store, EmbeddedStore)
        self.store = self._adapters.store
        self._chaos = ChaosStore(self.store, seed=seed)
        self._settings = factory.settings(self._data)
        self.post: list[tuple[str, Message]] = []
        self.waiting: set[int] = set()
        draft = catalog.event(pools=pools, price_minor=prices, shards=shards)
        self.event = self.run(catalog.on_sale(use_cases(self._settings, self._adapters), draft))

    def close(self) -> None:
        """Leave nothing behind."""
        self._stack.close()

    def run[T](self, work: Awaitable[T]) -> T:
        """The result of `work`."""

        async def awaited() -> T:
            return await work

        return self._runner.run(awaited())

    def pass_time(self, minutes: int) -> None:
        """Some minutes later."""
        self.now += timedelta(minutes=minutes)

    def act[T](self, work: Callable[[UseCases, Backroom], Awaitable[T]], mishap: Mishap = NONE) -> Ending[T]:
        """A new process does `work`; what the mishap explains is an ending, anything else is raised."""
        self._chaos.misbehaviour = Misbehaviour(**({mishap.chaos: 0.25} if mishap.chaos else {}))
        self.provider.trouble = [mishap.provider] if mishap.provider else []
        store = Mortal(self._chaos, mishap.dies_at, after=mishap.after)
        adapters: Adapters = replace(self._adapters, store=store)
        cases = use_cases(self._settings, adapters)
        try:
            return Ending(self.run(work(cases, Backroom(cases, adapters))), done=True)
        except Died:
            return Ending()
        except DomainError as refusal:
            return Ending(refusal=refusal)
        except StoreError as trouble:
            if not mishap.chaos:
                raise
            return Ending(refusal=trouble)
        finally:
            self.provider.trouble = []

    def collect(self) -> list[int]:
        """Put what was published with the rest of the post; where the new messages are."""
        first = len(self.post)
        self.post += [(queue, message) for queue in QUEUES for message in self.bag.take(queue)]
        self.bag.queues.clear()
        fresh = list(range(first, len(self.post)))
        self.waiting |= set(fresh)
        return fresh

    async def report(self, session: Session) -> None:
        """The provider calls the webhook."""
        await Webhook(self.provider, self.bag).take(
            f'{{"session_id": "{session.session_id}"}}'.encode(), SIGNATURE, now=self.now
        )

    def documents(self, container: str, partition: str) -> list[Document]:
        """Everything in a partition, as it is on disk."""
        found: list[Document] = []
        continuation: str | None = None
        while True:
            page = self.run(self.store.query(container, partition, limit=200, continuation=continuation))
            found += page.documents
            continuation = page.continuation
            if continuation is None:
                return found

    def state_of(self, order_id: OrderId) -> str:
        """An order's state on disk."""
        states = [d.value["state"] for d in self.documents(ORDERS, order_id) if d.value["kind"] == "order"]
        return states[0] if states else "nothing"
