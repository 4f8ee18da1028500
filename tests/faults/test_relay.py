"""The outbox relay when the bus is away, the process dies, a document cannot be sent, or the feed drops a batch."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from functions.operations.relay import OVERDUE, Relay
from local.host.process import HostProcess
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import BusUnavailable, Message
from shared.kernel.clock import stamp, utc_now
from shared.store.chaos import ChaosStore, Misbehaviour
from shared.store.embedded import EmbeddedStore
from shared.store.port import EVERYWHERE, Create, Delete, Store
from shared.telemetry import histograms
from shared.topology import topology
from tests.faults.databases import read_documents, read_messages

SECRET = "a signing secret of thirty-two bytes"
APP = Path(__file__).parent / "apps" / "relay"
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0  # normally well below ten


def outbox(number: int, *, order: str = "ord_a", destination: str = "events", size: int = 0) -> Create:
    """An event of an order, as a commit leaves it."""
    now = stamp(utc_now())
    return Create(
        f"outbox:{order}.{number}",
        {
            "kind": "outbox",
            "organiser_id": "org_a",
            "message_id": f"{order}.{number}",
            "type": "OrderPaid",
            "destination": destination,
            "correlation_id": "",
            "outbox_since": now,
            "body": {"id": f"{order}.{number}", "type": "OrderPaid", "text": "x" * size},
        },
    )


@dataclass
class Unsteady:
    """A bus whose answer can be lost, before or after it took the messages."""

    inner: EmbeddedBus
    failures: int = 0
    taken: bool = False

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """As the inner bus, `failures` times without an answer.

        :raises BusUnavailable: as told
        """
        if self.failures > 0:
            self.failures -= 1
            if self.taken:
                await self.inner.publish(entity, messages)
            raise BusUnavailable("as told")
        await self.inner.publish(entity, messages)


@dataclass
class House:
    """A store, a bus and the relay between them."""

    store: EmbeddedStore
    bus: EmbeddedBus

    async def left(self, prefix: str) -> list[str]:
        """The ids of documents that begin so."""
        page = await self.store.query("orders", EVERYWHERE, limit=200)
        return sorted(document.id for document in page.documents if document.id.startswith(prefix))

    async def received(self, queue: str = "insights") -> list[str]:
        """The ids of all messages on a queue, in their order."""
        found = []
        while deliveries := await self.bus.receive(queue, messages_max=100):
            found += [delivery.message.id for delivery in deliveries]
        return found

    async def feed(self, relay: Relay, *, store: ChaosStore | None = None) -> int:
        """Run the feed to its end as the host does with `@retry`: a failed batch is given again; how many failed."""
        feed, failed = store or self.store, 0
        assert await feed.acquire("orders", "relay", owner="me", seconds=60)
        while (batch := await feed.changes("orders", "relay", owner="me", limit=10)) is not None:
            try:
                await relay.send("orders", [dict(document) for document in batch.documents])
            except BusUnavailable:
                failed += 1
                continue
            await feed.advance("orders", "relay", owner="me", position=batch.position)
        return failed


@asynccontextmanager
async def house_at(path: Path) -> AsyncIterator[House]:
    store = EmbeddedStore(path / "store.db", topology(), SECRET.encode())
    bus = EmbeddedBus(path / "bus.db", topology())
    try:
        yield House(store, bus)
    finally:
        bus.close()
        store.close()


async def commit(store: Store, *events: Create, order: str = "ord_a") -> None:
    for event in events:
        await store.commit("orders", order, [event])


@pytest.mark.parametrize("taken", [False, True], ids=["before the bus took it", "after the bus took it"])
async def test_a_batch_that_fails_is_given_again_and_arrives_once_in_order(tmp_path: Path, taken: bool) -> None:
    async with house_at(tmp_path) as house:
        await commit(house.store, *(outbox(n) for n in range(25)))
        failed = await house.feed(Relay(house.store, Unsteady(house.bus, failures=3, taken=taken)))

        assert failed == 3
        assert await house.received() == [f"ord_a.{n}" for n in range(25)]
        assert await house.left("outbox:") == []


async def test_a_sent_document_that_could_not_be_deleted_is_sent_again_and_recognised(tmp_path: Path) -> None:
    async with house_at(tmp_path) as house:
        await commit(house.store, *(outbox(n) for n in range(5)))
        batch = [{**outbox(n).value, "id": f"outbox:ord_a.{n}", "order_id": "ord_a"} for n in range(5)]
        await Relay(house.store, house.bus).send("orders", batch)
        await commit(house.store, *(outbox(n) for n in range(5)))  # as if the deletes had been lost
        await house.feed(Relay(house.store, house.bus))

        assert await house.received() == [f"ord_a.{n}" for n in range(5)]
        assert await house.left("outbox:") == []


def unreadable(order: str = "ord_a") -> Create:
    """An outbox document whose due time nobody can read."""
    broken = outbox(7, order=order)
    return Create(broken.id, {**broken.value, "send_at": "soon"})


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (outbox(7, size=300_000), "exceeds 262144 bytes"),
        (outbox(7, destination="nowhere"), "no topic or queue 'nowhere'"),
        (Create("outbox:ord_a.7", {**outbox(7).value, "message_id": "x" * 129}), "128 characters"),
        (unreadable(), "cannot be read"),
    ],
    ids=["too large", "unknown destination", "name too long", "unreadable"],
)
async def test_what_can_never_be_sent_is_parked_with_its_reason_and_its_neighbours_are_sent(
    tmp_path: Path, poison: Create, reason: str
) -> None:
    async with house_at(tmp_path) as house:
        await commit(house.store, *(outbox(n) for n in range(5)), poison, *(outbox(n) for n in range(8, 12)))
        assert await house.feed(Relay(house.store, house.bus)) == 0
        parked = (await house.store.read("orders", "ord_a", "parked:outbox:ord_a.7")).value

        assert await house.received() == [f"ord_a.{n}" for n in (0, 1, 2, 3, 4, 8, 9, 10, 11)]
        assert await house.left("outbox:") == []
        assert reason in parked["reason"]
        assert parked["body"] == poison.value["body"]
        assert (parked["kind"], parked["outbox_since"]) == ("parked", None)


def ages() -> int:
    found = histograms().get(("outbox_seconds",))
    return 0 if found is None else found.number


@pytest.mark.parametrize("since", ["garbage", 5, "2026-11-21T20:00:00", None, ["x"]])
async def test_an_event_whose_age_cannot_be_read_is_sent_all_the_same(tmp_path: Path, since: object) -> None:
    async with house_at(tmp_path) as house:
        odd = outbox(7)
        await commit(house.store, outbox(6), Create(odd.id, {**odd.value, "outbox_since": since}), outbox(8))
        before = ages()
        assert await house.feed(Relay(house.store, house.bus)) == 0

        assert sorted(await house.received()) == ["ord_a.6", "ord_a.7", "ord_a.8"]
        assert await house.left("outbox:") == []
        assert ages() == before + 2


async def test_the_age_of_what_is_parked_is_not_told_and_of_what_comes_late_is(tmp_path: Path) -> None:
    async with house_at(tmp_path) as house:
        await commit(house.store, outbox(1), outbox(2, destination="nowhere"))
        before = ages()
        assert await Relay(house.store, house.bus).resend_overdue(utc_now() + OVERDUE + timedelta(seconds=1)) == 1
        assert ages() == before + 1


async def test_what_the_feed_dropped_is_sent_by_the_repair_timer_and_not_before_its_time(tmp_path: Path) -> None:
    async with house_at(tmp_path) as house:
        chaos = ChaosStore(house.store, seed=3, misbehaviour=Misbehaviour(dropped_batch=0.5))
        await commit(house.store, *(outbox(n) for n in range(100)))
        relay = Relay(chaos, house.bus)
        await house.feed(relay, store=chaos)
        dropped = len(await house.left("outbox:"))
        too_early = await relay.resend_overdue(utc_now())
        resent = await relay.resend_overdue(utc_now() + OVERDUE + timedelta(seconds=1))

        assert dropped > 0
        assert (too_early, resent) == (0, dropped)
        assert sorted(await house.received()) == sorted(f"ord_a.{n}" for n in range(100))
        assert await house.left("outbox:") == []


@pytest.fixture
def environment() -> dict[str, str]:
    return {"TESSERA_SIGNING_SECRET": SECRET, "FAILURES": "0", "SLOW_SECONDS": "0"}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The relay's two registrations, beside Tessera's own topology."""
    folder = tmp_path / "app"
    shutil.copytree(APP, folder)
    (folder / "infra").mkdir()
    shutil.copy(ROOT / "infra" / "topology.json", folder / "infra")
    return folder


def on_queue(data: Path, queue: str = "insights") -> list[str]:
    """The ids on a queue in the order they came."""
    return [id_ for found, _, id_, _ in read_messages(data) if found == queue]


def left_in(data: Path, container: str) -> list[str]:
    return [id_ for found, _, id_ in read_documents(data) if found == container and id_.startswith("outbox:")]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)


async def test_through_the_host_a_failed_batch_comes_again_with_retry_and_is_lost_without(
    tmp_path: Path, app: Path, environment: dict[str, str]
) -> None:
    """The registration without `@retry` is the negative control: its lease moves on past the failed batch."""
    data = tmp_path / "data"
    data.mkdir()
    async with house_at(data) as house:
        await commit(house.store, *(outbox(n) for n in range(5)))
        await house.store.commit("events", "evt_a", [outbox(9, order="evt_a")])
    environment["FAILURES"] = "2"
    with HostProcess.start(app=app, data=data, environment=environment) as host:
        await until(lambda: not left_in(data, "orders"))
        await until(lambda: bool(skips(host)))  # the two feeds are not in step
        await asyncio.sleep(0.5)
        log = host.log_entries()

    assert on_queue(data) == [f"ord_a.{n}" for n in range(5)]
    assert left_in(data, "events") == ["outbox:evt_a.9"]
    assert skips(host) == ["relay_without_retry"]
    assert len([entry for entry in log if entry.get("skipped") is False]) == 2


def skips(host: HostProcess) -> list[str]:
    """The functions whose batch was skipped."""
    return [entry["function"] for entry in host.log_entries() if entry.get("skipped")]


async def test_a_process_that_dies_with_the_lease_is_followed_by_another_and_everything_arrives_once_in_order(
    tmp_path: Path, app: Path, environment: dict[str, str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    orders = [f"ord_{letter}" for letter in "abcde"]
    async with house_at(data) as house:
        for n in range(30):
            for order in orders:
                await commit(house.store, outbox(n, order=order), order=order)
    # The first batch is on the bus, its documents are not deleted: there the process dies.
    first, second = (
        HostProcess.start(
            app=app, data=data, environment={**environment, "SLOW_SECONDS": slow}, log_path=tmp_path / slow
        )
        for slow in ("60", "0.1")
    )
    try:
        await until(lambda: bool(on_queue(data)))
        first.kill()
        taken, undeleted = len(on_queue(data)), len(left_in(data, "orders"))
        await until(lambda: not left_in(data, "orders"))
    finally:
        first.kill()
        second.kill()
    arrived = on_queue(data)

    assert (taken, undeleted) == (100, 150)
    assert sorted(arrived) == sorted(f"{order}.{n}" for order in orders for n in range(30))
    for order in orders:
        assert [id_ for id_ in arrived if id_.startswith(order)] == [f"{order}.{n}" for n in range(30)]


async def test_a_batch_given_again_goes_on_behind_what_it_parked_the_first_time(tmp_path: Path) -> None:
    async with house_at(tmp_path) as house:
        await commit(house.store, outbox(1, size=300_000), outbox(2))
        relay, feed = Relay(house.store, house.bus), house.store
        assert await feed.acquire("orders", "relay", owner="me", seconds=60)
        batch = await feed.changes("orders", "relay", owner="me", limit=10)
        assert batch is not None
        again = [dict(document) for document in batch.documents]
        await house.store.commit("orders", "ord_a", [Delete("outbox:ord_a.1")])  # parked by the try before

        assert await relay.send("orders", again) == 1
