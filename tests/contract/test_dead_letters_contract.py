"""What every bus must do with dead letters, in the words of `shared/bus/port.py`."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.bus.port import (
    DEAD_LETTERS_MAX,
    MESSAGE_BYTES_MAX,
    Bus,
    DeadLetter,
    DeadLetters,
    Message,
    MessageRefused,
    Receiver,
    Replay,
)
from shared.topology import topology
from tests.contract.harness import BusUnderTest

QUEUE = "stock"
SETTINGS = topology().queue(QUEUE)


@pytest.fixture
def dead(bus_under_test: BusUnderTest) -> DeadLetters:
    return bus_under_test.dead_letters


async def bury(
    bus: Bus, receiver: Receiver, *ids: str, type_name: str = "OrderPaid", reason: str = "Unreadable"
) -> None:
    """Publish messages to the queue, and put each aside."""
    await bus.publish(QUEUE, [Message(id_, type_name, f'"{id_}"'.encode(), f"cor-{id_}") for id_ in ids])
    for _ in ids:
        [delivery] = await receiver.receive(QUEUE, messages_max=1)
        await receiver.dead_letter(delivery, reason=reason, description=f"{delivery.message.id} is not read")


async def letters(dead: DeadLetters) -> Sequence[DeadLetter]:
    return (await dead.peek_dead_letters(QUEUE)).letters


async def ids(dead: DeadLetters) -> list[str]:
    return [letter.message.id for letter in await letters(dead)]


async def received(receiver: Receiver, queue: str = QUEUE) -> list[Message]:
    return [delivery.message for delivery in await receiver.receive(queue, messages_max=100)]


async def test_a_message_put_aside_keeps_its_reason_and_peeking_leaves_it(bus_under_test: BusUnderTest) -> None:
    bus, receiver, dead = bus_under_test.bus, bus_under_test.receiver, bus_under_test.dead_letters
    sent = Message("m-1", "OrderPaid", b"{", "cor-1", None, {"attempt": 2})
    await bus.publish(QUEUE, [sent])
    [delivery] = await receiver.receive(QUEUE, messages_max=1)
    await receiver.dead_letter(delivery, reason="Unreadable", description="not JSON")

    [letter] = await letters(dead)

    assert (letter.message, letter.queue, letter.delivery_count) == (sent, QUEUE, 1)
    assert (letter.reason, letter.description) == ("Unreadable", "not JSON")
    assert abs(letter.dead_lettered_at - bus_under_test.now()) < timedelta(seconds=5)
    assert list(await letters(dead)) == [letter]
    assert await received(receiver) == []


async def test_pages_follow_each_other_by_number_without_a_gap_or_a_double(
    bus: Bus, receiver: Receiver, dead: DeadLetters
) -> None:
    sent = [f"m{n}" for n in range(7)]
    await bury(bus, receiver, *sent)

    found: list[DeadLetter] = []
    after, pages = 0, 0
    while pages < 20:
        page = await dead.peek_dead_letters(QUEUE, limit=3, after=after)
        found += page.letters
        pages += 1
        if page.next_after is None:
            break
        after = page.next_after

    assert [letter.message.id for letter in found] == sent
    numbers = [letter.sequence_number for letter in found]
    assert numbers == sorted(set(numbers))


async def test_letters_are_found_by_reason_and_by_type(bus: Bus, receiver: Receiver, dead: DeadLetters) -> None:
    await bury(bus, receiver, "a", type_name="OrderPaid", reason="Unreadable")
    await bury(bus, receiver, "b", type_name="OrderPaid", reason="Unwanted")
    await bury(bus, receiver, "c", type_name="OrderExpired", reason="Unreadable")

    async def found(reason: str | None = None, type_name: str | None = None) -> list[str]:
        page = await dead.peek_dead_letters(QUEUE, reason=reason, type_name=type_name)
        return [letter.message.id for letter in page.letters]

    assert await found(reason="Unreadable") == ["a", "c"]
    assert await found(type_name="OrderPaid") == ["a", "b"]
    assert await found(reason="Unreadable", type_name="OrderPaid") == ["a"]
    assert await found(reason="unreadable") == []


async def test_every_queue_tells_how_many_it_has(bus: Bus, receiver: Receiver, dead: DeadLetters) -> None:
    none = dict.fromkeys((queue.name for queue in topology().queues), 0)
    assert await dead.dead_counts() == none

    await bury(bus, receiver, "a", "b")

    assert await dead.dead_counts() == none | {QUEUE: 2}


async def test_a_replay_is_a_fresh_copy_for_its_own_queue_alone(
    bus: Bus, receiver: Receiver, dead: DeadLetters
) -> None:
    await bus.publish("events", [Message("paid", "OrderPaid", b'{"n":1}', "cor-1", None, {"attempt": 3})])
    for queue in ("notifications", "insights"):
        [delivery] = await receiver.receive(queue, messages_max=1)
        await receiver.complete(delivery)
    [delivery] = await receiver.receive(QUEUE, messages_max=1)
    await receiver.dead_letter(delivery, reason="Bug", description="")
    [letter] = await letters(dead)

    done = await dead.replay(QUEUE, [Replay(letter.sequence_number, "replay-1", {"replay_of": "paid"})])

    assert list(done) == [letter.sequence_number]
    assert await letters(dead) == []
    [copy] = await receiver.receive(QUEUE, messages_max=10)
    assert copy.message == Message("replay-1", "OrderPaid", b'{"n":1}', "cor-1", None, {"replay_of": "paid"})
    assert copy.delivery_count == 1
    assert await received(receiver, "notifications") == await received(receiver, "insights") == []


async def test_a_copy_under_the_old_id_would_be_swallowed(bus: Bus, receiver: Receiver, dead: DeadLetters) -> None:
    """The control: this is why a replay needs an id of its own."""
    await bury(bus, receiver, "m-1")
    await bus.publish(QUEUE, [Message("m-1", "OrderPaid", b"{}")])

    assert await received(receiver) == []


async def test_replays_can_be_spread_over_time(bus_under_test: BusUnderTest) -> None:
    bus, receiver, dead = bus_under_test.bus, bus_under_test.receiver, bus_under_test.dead_letters
    await bury(bus, receiver, "a", "b")
    first, second = [letter.sequence_number for letter in await letters(dead)]
    due = bus_under_test.now() + timedelta(seconds=30)

    await dead.replay(QUEUE, [Replay(first, "r-a"), Replay(second, "r-b", due_at=due)])

    assert [message.id for message in await received(receiver)] == ["r-a"]
    assert await letters(dead) == []
    await bus_under_test.pass_time(31)
    assert "r-b" in [message.id for message in await received(receiver)]


async def test_a_repeated_replay_sends_nothing_twice(bus: Bus, receiver: Receiver, dead: DeadLetters) -> None:
    await bury(bus, receiver, "a")
    [letter] = await letters(dead)
    replay = Replay(letter.sequence_number, "r-a")

    first, second = [list(await dead.replay(QUEUE, [replay])) for _ in range(2)]

    assert (first, second) == ([letter.sequence_number], [])
    assert [message.id for message in await received(receiver)] == ["r-a"]


async def test_of_two_who_replay_the_same_letter_one_does(bus: Bus, receiver: Receiver, dead: DeadLetters) -> None:
    await bury(bus, receiver, "a", "b", "c")
    numbers = [letter.sequence_number for letter in await letters(dead)]

    done = await asyncio.gather(
        *(dead.replay(QUEUE, [Replay(number, f"{who}-{number}") for number in numbers]) for who in ("x", "y"))
    )

    assert sorted([*done[0], *done[1]]) == numbers
    assert len(await received(receiver)) == 3
    assert await letters(dead) == []


async def test_only_dead_letters_of_that_queue_are_touched(bus: Bus, receiver: Receiver, dead: DeadLetters) -> None:
    await bury(bus, receiver, "a")
    [letter] = await letters(dead)
    number = letter.sequence_number
    await bus.publish(QUEUE, [Message("alive", "OrderPaid", b"{}")])
    [alive] = await receiver.receive(QUEUE, messages_max=1)

    assert await dead.replay("payments", [Replay(number, "r-1")]) == []
    assert await dead.discard("payments", [number]) == []
    assert await dead.replay(QUEUE, [Replay(alive.sequence_number, "r-2"), Replay(10**9, "r-3")]) == []
    assert await dead.discard(QUEUE, [alive.sequence_number, 10**9]) == []

    assert await ids(dead) == ["a"]
    await receiver.complete(alive)
    assert await received(receiver) == await received(receiver, "payments") == []


async def test_a_discarded_letter_is_gone_and_the_others_stay(bus: Bus, receiver: Receiver, dead: DeadLetters) -> None:
    await bury(bus, receiver, "a", "b", "c")
    _, second, _ = [letter.sequence_number for letter in await letters(dead)]

    assert list(await dead.discard(QUEUE, [second])) == [second]

    assert await ids(dead) == ["a", "c"]
    assert await received(receiver) == []
    assert list(await dead.discard(QUEUE, [second])) == []


async def test_a_copy_that_can_never_be_accepted_leaves_its_letter(
    bus: Bus, receiver: Receiver, dead: DeadLetters
) -> None:
    await bury(bus, receiver, "a")
    [letter] = await letters(dead)

    with pytest.raises(MessageRefused):
        await dead.replay(QUEUE, [Replay(letter.sequence_number, "r", {"note": "x" * MESSAGE_BYTES_MAX})])

    assert await ids(dead) == ["a"]
    assert await received(receiver) == []


async def test_a_replayed_message_that_fails_again_is_dead_again(
    bus: Bus, receiver: Receiver, dead: DeadLetters
) -> None:
    await bury(bus, receiver, "a")
    [letter] = await letters(dead)
    await dead.replay(QUEUE, [Replay(letter.sequence_number, "r-1")])
    for _ in range(SETTINGS.max_delivery_count):
        [delivery] = await receiver.receive(QUEUE, messages_max=1)
        await receiver.abandon(delivery)

    [again] = await letters(dead)

    assert (again.message.id, again.reason) == ("r-1", "MaxDeliveryCountExceeded")
    assert again.sequence_number > letter.sequence_number


async def test_what_no_call_may_ask_is_refused(dead: DeadLetters) -> None:
    too_many = range(1, DEAD_LETTERS_MAX + 2)

    for limit in (0, DEAD_LETTERS_MAX + 1):
        with pytest.raises(ValueError):
            await dead.peek_dead_letters(QUEUE, limit=limit)
    with pytest.raises(ValueError):
        await dead.replay(QUEUE, [Replay(number, f"r-{number}") for number in too_many])
    with pytest.raises(ValueError):
        await dead.discard(QUEUE, list(too_many))
    for asked in (
        dead.peek_dead_letters("nowhere"),
        dead.replay("nowhere", [Replay(1, "r-1")]),
        dead.discard("nowhere", [1]),
    ):
        with pytest.raises(ValueError):
            await asked
