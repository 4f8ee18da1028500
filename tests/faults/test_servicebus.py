"""The Service Bus adapter, its receiving half and the emulator, when processes die and connections break."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, Self

import httpx
import pytest

from local.host.servicebus import ServiceBusReceiver
from shared.bus.port import (
    MESSAGE_BYTES_MAX,
    BusBusy,
    BusUnavailable,
    Delivery,
    LockLost,
    Message,
    MessageRefused,
    Replay,
)
from shared.bus.servicebus import ServiceBus
from shared.bus.servicebus_client import CALL_SECONDS_MAX, TRIES_AGAIN_MAX
from shared.topology import topology
from tests.contract.servicebus import bus_at
from tests.emulators.processes import Emulator

# azure-servicebus 7.15 forgets a connection whose opening broke off instead of closing it; Python does, and says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning"),
]
QUEUE = "payments"
KEY = "the key of these tests"
LOST = 12
PATIENCE_SECONDS = 120.0  # only a hang takes so long


class Namespace(Emulator):
    """The emulator in a process of its own."""

    def __init__(self, data: Path) -> None:
        super().__init__("servicebus", data, "--control-port", "0", "--key", KEY)

    @property
    def port(self) -> int:
        """Where it speaks AMQP."""
        return int(next(word for word in self.words if word.startswith("sb://")).rpartition(":")[2])

    def restart(self) -> None:
        """Start again on the same port with the same state."""
        self._port = self.port
        self.process = self._start()

    def control(self, method: str, path: str, **body: Any) -> Any:
        """Use one of its controls."""
        answer = httpx.request(method, f"{self.url}/_emulator{path}", json=body or None)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def counts(self) -> Any:
        """How many messages the queue has."""
        return self.control("GET", "")["queues"][QUEUE]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What the SDK forgot is closed before another test's warnings are watched."""
    yield
    gc.collect()


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Namespace]:
    with Namespace(tmp_path) as found:
        yield found


@pytest.fixture
async def bus(space: Namespace) -> AsyncIterator[ServiceBus]:
    bus = bus_at(space.port, KEY)
    yield bus
    await bus.close()


@pytest.fixture
async def receiver(bus: ServiceBus) -> AsyncIterator[ServiceBusReceiver]:
    receiver = ServiceBusReceiver(bus.client, topology())
    yield receiver
    await receiver.close()


def message(id_: str) -> Message:
    return Message(id_, "PaymentReported", b"{}")


async def insistently[T](call: Callable[[], Awaitable[T]]) -> T:
    """What a caller does whose bus is away: again, until it answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await call()
            except BusUnavailable:
                await asyncio.sleep(0.1)


async def refused(bus: ServiceBus, id_: str) -> None:
    """A publication that fails, as it should."""
    with pytest.raises(BusUnavailable):
        await bus.publish(QUEUE, [message(id_)])


async def received(receiver: ServiceBusReceiver, number: int) -> list[Delivery]:
    """So many deliveries, as soon as they are there."""
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < number:
            found += await insistently(lambda: receiver.receive(QUEUE, messages_max=100))
    return found


async def test_what_was_published_is_there_once_though_the_broker_was_killed_meanwhile(
    space: Namespace, bus: ServiceBus
) -> None:
    ids = [f"m{number}" for number in range(120)]
    half = asyncio.Event()

    async def publish_all() -> None:
        for place, id_ in enumerate(ids):
            if place == len(ids) // 2:
                half.set()
            await insistently(lambda id_=id_: bus.publish(QUEUE, [message(id_)]))  # type: ignore[misc]

    publishing = asyncio.create_task(publish_all())
    await half.wait()
    space.kill()
    await asyncio.sleep(0.3)
    space.restart()
    await publishing

    assert space.counts() == {"active": len(ids), "scheduled": 0, "dead": 0}


async def test_nothing_is_lost_or_done_twice_though_the_broker_was_killed_meanwhile(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    ids = {f"m{number}" for number in range(30)}
    await bus.publish(QUEUE, [message(id_) for id_ in sorted(ids)])
    held = list(await receiver.receive(QUEUE, messages_max=10))
    for delivery in held[:5]:
        await receiver.complete(delivery)

    space.kill()
    space.restart()
    for delivery in held[5:]:
        await insistently(lambda delivery=delivery: receiver.complete(delivery))  # type: ignore[misc]
    rest = await received(receiver, 20)

    assert {delivery.message.id for delivery in [*held, *rest]} == ids
    assert {delivery.delivery_count for delivery in rest} == {1}
    for delivery in rest:
        await receiver.complete(delivery)
    assert space.counts() == {"active": 0, "scheduled": 0, "dead": 0}


async def test_a_lock_lost_while_its_message_is_handled_is_noticed_and_the_message_comes_again(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    await bus.publish(QUEUE, [message("m")])
    [lost] = await received(receiver, 1)

    assert space.control("DELETE", "/locks", queue=QUEUE) == {"expired": 1}

    with pytest.raises(LockLost):
        await receiver.complete(lost)
    [again] = await received(receiver, 1)
    assert (again.message.id, again.delivery_count) == ("m", 2)
    await receiver.complete(again)
    assert space.counts()["active"] == 0


async def test_a_publication_whose_answer_is_lost_is_repeated_and_kept_once(space: Namespace, bus: ServiceBus) -> None:
    """More often than the SDK repeats by itself, so that its caller has to."""
    await bus.publish(QUEUE, [message("before")])
    space.control("POST", "/faults", kind="lost-publish", times=LOST)

    with pytest.raises(BusUnavailable):
        await bus.publish(QUEUE, [message("m")])
    await insistently(lambda: bus.publish(QUEUE, [message("m")]))

    assert space.control("GET", "")["faults"] == LOST
    assert space.counts()["active"] == 2


class Identity:
    """Gives no tokens; remembers that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def get_token(self, *_: object, **__: object) -> NoReturn:
        """Never asked here."""
        raise AssertionError("Nothing was sent.")

    async def close(self) -> None:
        """Done with it."""
        self.closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


async def test_the_identity_that_was_made_for_a_bus_is_closed_with_it() -> None:
    made: list[Identity] = []

    def identity() -> Identity:
        made.append(Identity())
        return made[-1]

    bus = ServiceBus.connect(topology(), namespace="tessera.servicebus.windows.net", credential=identity)
    bus.client.sender(QUEUE)
    assert [each.closed for each in made] == [False]

    await bus.close()

    assert [each.closed for each in made] == [True]


async def test_a_bus_that_throttles_has_answered_and_its_link_stays(space: Namespace, bus: ServiceBus) -> None:
    link = bus.client.sender(QUEUE)
    async with link.use() as before:
        pass
    space.control("POST", "/faults", kind="busy", times=TRIES_AGAIN_MAX + 1)

    with pytest.raises(BusBusy):
        await bus.publish(QUEUE, [message("m")])

    async with link.use() as after:
        assert after is before
    await bus.publish(QUEUE, [message("m")])
    assert space.counts()["active"] == 1


async def test_a_settlement_whose_answer_is_lost_has_happened(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    """Its caller hears that the lock is gone: true, since the message is."""
    await bus.publish(QUEUE, [message("m")])
    [delivery] = await received(receiver, 1)
    space.control("POST", "/faults", kind="lost-settlement")

    with pytest.raises(LockLost):
        await insistently(lambda: receiver.complete(delivery))

    assert space.counts()["active"] == 0


async def test_a_message_that_the_bus_delivers_twice_is_two_deliveries_of_one_id(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    space.control("POST", "/faults", kind="doubled")
    await bus.publish(QUEUE, [message("m")])

    deliveries = await received(receiver, 2)

    assert [delivery.message.id for delivery in deliveries] == ["m", "m"]
    assert len({delivery.lock_token for delivery in deliveries}) == 2


async def test_while_the_bus_is_away_every_call_says_so_in_time(space: Namespace, bus: ServiceBus) -> None:
    await bus.publish(QUEUE, [message("before")])
    space.control("POST", "/refusal", seconds=3600)

    async with asyncio.timeout(CALL_SECONDS_MAX * 2), asyncio.TaskGroup() as group:
        for number in range(5):  # they stand in line for one link, and none waits for the others' turns on top
            group.create_task(refused(bus, f"m{number}"))


async def test_a_bus_that_says_nothing_is_not_waited_for_longer(space: Namespace, bus: ServiceBus) -> None:
    await bus.publish(QUEUE, [message("before")])
    space.process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(CALL_SECONDS_MAX * 2), asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(refused(bus, f"m{number}"))
    finally:
        space.process.send_signal(signal.SIGCONT)

    await insistently(lambda: bus.publish(QUEUE, [message("after")]))


async def test_once_the_bus_is_back_it_is_used_again(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    await bus.publish(QUEUE, [message("before")])
    await received(receiver, 1)
    space.control("POST", "/refusal", seconds=1)

    await insistently(lambda: bus.publish(QUEUE, [message("after")]))

    assert [delivery.message.id for delivery in await received(receiver, 1)] == ["after"]


async def test_who_waits_while_the_connection_breaks_gets_the_next_message(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    async def next_message() -> str:
        while not (found := await insistently(lambda: receiver.receive(QUEUE, messages_max=1))):
            await receiver.wait(2 * PATIENCE_SECONDS)
        return found[0].message.id

    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        waiting = group.create_task(next_message())
        await asyncio.sleep(1)
        assert space.control("DELETE", "/connections")["dropped"] >= 1
        await insistently(lambda: bus.publish(QUEUE, [message("m")]))

    assert waiting.result() == "m"


async def test_concurrent_first_calls_open_one_link(space: Namespace, bus: ServiceBus) -> None:
    await asyncio.gather(*(bus.publish(QUEUE, [message(f"m{number}")]) for number in range(20)))

    assert space.control("GET", "")["connections"] == 1
    assert space.counts()["active"] == 20


async def test_a_call_that_is_cancelled_leaves_the_bus_usable(space: Namespace, bus: ServiceBus) -> None:
    for number in range(10):
        call = asyncio.create_task(bus.publish(QUEUE, [message(f"cancelled-{number}")]))
        await asyncio.sleep(0.001 * number)
        call.cancel()
        await asyncio.wait([call])

    await bus.publish(QUEUE, [message("m")])

    assert space.counts()["active"] >= 1


async def test_a_batch_too_large_for_one_frame_or_one_batch_arrives_whole(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    sent = [Message(f"m{number}", "T", bytes([number]) * 100_000) for number in range(7)]
    await bus.publish(QUEUE, sent)

    deliveries = await received(receiver, 7)

    assert [delivery.message for delivery in deliveries] == sent


async def test_replays_repeated_after_a_lost_answer_send_one_copy(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    await bus.publish(QUEUE, [message("m")])
    [delivery] = await received(receiver, 1)
    await receiver.dead_letter(delivery, reason="r", description="d")
    [letter] = (await bus.peek_dead_letters(QUEUE)).letters
    space.control("POST", "/faults", kind="lost-settlement")

    async def replay() -> None:
        await bus.replay(QUEUE, [Replay(letter.sequence_number, "copy")])

    await insistently(replay)

    assert space.counts() == {"active": 1, "scheduled": 0, "dead": 0}


async def bury(bus: ServiceBus, receiver: ServiceBusReceiver, *ids: str) -> list[int]:
    """Put messages aside; their numbers as dead letters."""
    await bus.publish(QUEUE, [message(id_) for id_ in ids])
    for delivery in await received(receiver, len(ids)):
        await receiver.dead_letter(delivery, reason="r", description="d")
    return [letter.sequence_number for letter in (await bus.peek_dead_letters(QUEUE)).letters]


async def test_letters_passed_on_the_way_to_another_can_be_taken_at_once(
    bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    first, second, third = await bury(bus, receiver, "a", "b", "c")

    assert await bus.discard(QUEUE, [third]) == [third]

    assert await bus.discard(QUEUE, [first, second]) == [first, second]


async def test_a_replay_that_cannot_be_sent_lets_go_of_its_letter(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    [number] = await bury(bus, receiver, "a")
    with pytest.raises(MessageRefused):
        await bus.replay(QUEUE, [Replay(number, "r", {"note": "x" * MESSAGE_BYTES_MAX})])
    space.control("POST", "/faults", kind="busy", times=20)
    with pytest.raises(BusUnavailable):
        await bus.replay(QUEUE, [Replay(number, "r")])
    space.control("DELETE", "/faults")

    assert await bus.replay(QUEUE, [Replay(number, "r")]) == [number]
    assert space.counts() == {"active": 1, "scheduled": 0, "dead": 0}


async def test_of_two_processes_that_replay_the_same_letters_each_letter_goes_once(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    numbers = await bury(bus, receiver, *(f"m{number}" for number in range(20)))
    other = bus_at(space.port, KEY)
    await other.dead_counts()  # its links are open, so that the two meet

    done = await asyncio.gather(
        *(
            each.replay(QUEUE, [Replay(number, f"{who}-{number}") for number in numbers])
            for who, each in enumerate((bus, other))
        )
    )

    assert sorted([*done[0], *done[1]]) == numbers
    assert space.counts() == {"active": 20, "scheduled": 0, "dead": 0}
    await other.close()


async def test_large_letters_can_be_replayed_and_discarded(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    """As large as messages get: few come at a time, however many are asked for."""
    bodies = {f"m{number}": bytes([number]) * 250_000 for number in range(100)}
    for id_, body in bodies.items():
        await bus.publish(QUEUE, [Message(id_, "T", body)])
        [delivery] = await received(receiver, 1)
        await receiver.dead_letter(delivery, reason="r", description="d")
    numbers = [letter.sequence_number for letter in (await bus.peek_dead_letters(QUEUE)).letters]

    assert await bus.discard(QUEUE, numbers[-1:]) == numbers[-1:]  # all before it are locked on the way, and given back
    assert await bus.replay(QUEUE, [Replay(number, f"again-{number}") for number in numbers[:-1]]) == numbers[:-1]

    assert space.counts() == {"active": 99, "scheduled": 0, "dead": 0}
    copies = {delivery.message.body for delivery in await received(receiver, 99)}
    assert copies == set(list(bodies.values())[:-1])
