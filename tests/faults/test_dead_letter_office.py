"""A replay or discard that is interrupted between store and bus: the same request again finishes it, nothing twice."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.operations.dead_letters import BusAway, CopyRefused, DeadLetterOffice, Instruction
from functions.operations.letters import DISCARDED_BYTES_MAX, Choice
from functions.operations.watch import DeadLetterWatch, dead_letter_warnings
from shared.audit import AUDIT, PAGE_BYTES_MAX, PLATFORM, READ_AT_ONCE, AuditTrail
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import DEAD_LETTERS_MAX, MESSAGE_BYTES_MAX, BusUnavailable, Message, MessageRefused, Replay
from shared.kernel.clock import utc_now
from shared.kernel.errors import KeyReused
from shared.kernel.ids import PersonId
from shared.retry import StoreSilent
from shared.store.chaos import ChaosStore, Misbehaviour
from shared.store.embedded import EmbeddedStore
from shared.store.port import COMMIT_BYTES_MAX
from shared.telemetry import gauges
from shared.topology import topology
from tests.doubles.mailbag import Mailbag
from tests.factories.settings import SIGNING_SECRET

QUEUE = "stock"
ALL = Choice()


class Interrupted(EmbeddedBus):
    """A bus that stops answering, before or after it acted, as often as it is told to."""

    lost_requests = 0
    lost_answers = 0

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """As the bus, unless interrupted."""
        self._strike_before()
        done = await super().replay(queue, replays)
        self._strike_after()
        return done

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """As the bus, unless interrupted."""
        self._strike_before()
        done = await super().discard(queue, sequence_numbers)
        self._strike_after()
        return done

    def _strike_before(self) -> None:
        if self.lost_requests:
            self.lost_requests -= 1
            raise BusUnavailable("the request was lost")

    def _strike_after(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise BusUnavailable("the answer was lost")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Interrupted]:
    opened = Interrupted(tmp_path / "bus.db", topology())
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChaosStore]:
    inner = EmbeddedStore(tmp_path / "store.db", topology(), SIGNING_SECRET.encode())
    yield ChaosStore(inner, seed=1)
    inner.close()


@pytest.fixture
def office(bus: Interrupted, store: ChaosStore) -> DeadLetterOffice:
    return DeadLetterOffice(bus, AuditTrail(store))


async def bury(bus: EmbeddedBus, *bodies: bytes, prefix: str = "m") -> list[int]:
    """Dead letters with these bodies; the numbers of all there are."""
    await bus.publish(QUEUE, [Message(f"{prefix}-{n}", "OrderPaid", body) for n, body in enumerate(bodies)])
    for delivery in await bus.receive(QUEUE, messages_max=len(bodies)):
        await bus.dead_letter(delivery, reason="Bug", description="")
    return [letter.sequence_number for letter in (await bus.peek_dead_letters(QUEUE)).letters]


def asked(*, request: str = "r", now: datetime | None = None) -> Instruction:
    return Instruction(
        audit_id="aud_1", who=PersonId("per_1"), why="fixed", correlation_id="cor-12345", request=request,
        now=now or utc_now(),
    )  # fmt: skip


async def trail(store: ChaosStore) -> list[tuple[str, list[int]]]:
    page = await AuditTrail(store).page(PLATFORM, utc_now(), limit=50, continuation=None)
    return [(each.value["step"], each.value["details"].get("done", [])) for each in reversed(page.documents)]


async def waiting(bus: EmbeddedBus) -> list[str]:
    return [delivery.message.id for delivery in await bus.receive(QUEUE, messages_max=100)]


async def test_a_replay_the_bus_never_heard_of_happens_when_asked_again(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore
) -> None:
    numbers = await bury(bus, b"1", b"2")
    bus.lost_requests = 1
    with pytest.raises(BusAway):
        await office.replay(QUEUE, ALL, asked(), per_second=50, dry_run=False)
    assert await trail(store) == [("intent", [])]
    assert (await bus.counts(QUEUE))["dead"] == 2

    done = await office.replay(QUEUE, ALL, asked(), per_second=50, dry_run=False)

    assert (done.done, done.gone) == (numbers, [])
    assert await trail(store) == [("intent", []), ("outcome", numbers)]


@pytest.mark.parametrize("how", ["replay", "discard"])
async def test_what_was_done_though_nobody_heard_is_not_done_twice(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore, how: str
) -> None:
    async def ask() -> tuple[Sequence[int], Sequence[int]]:
        if how == "replay":
            done = await office.replay(QUEUE, ALL, asked(), per_second=50, dry_run=False)
        else:
            done = await office.discard(QUEUE, ALL, asked(), dry_run=False)
        return done.done, done.gone

    numbers = await bury(bus, b"1")
    bus.lost_answers = 1
    with pytest.raises(BusAway):
        await ask()
    await bus.publish(QUEUE, [Message("later", "OrderPaid", b"{}")])
    [letter_of_others] = await bus.receive(QUEUE, messages_max=100) if how == "discard" else [None]
    if letter_of_others is not None:
        await bus.dead_letter(letter_of_others, reason="Bug", description="")

    assert await ask() == ([], numbers)
    assert await ask() == ([], numbers)  # and its outcome stays

    assert await waiting(bus) == (["replay:aud_1:1", "later"] if how == "replay" else [])
    dead = [letter.message.id for letter in (await bus.peek_dead_letters(QUEUE)).letters]
    assert dead == ([] if how == "replay" else ["later"])  # what died since was not part of that request
    assert len(await trail(store)) == 2


async def test_without_an_audit_trail_nothing_is_touched(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore
) -> None:
    await bury(bus, b"1")
    store.misbehaviour = Misbehaviour(lost_request=1.0)

    with pytest.raises(StoreSilent):
        await office.replay(QUEUE, ALL, asked(), per_second=50, dry_run=False)

    assert (await bus.counts(QUEUE))["dead"] == 1


async def test_a_trail_whose_answers_are_lost_has_every_entry_once(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore
) -> None:
    numbers = await bury(bus, b"1", b"2")
    store.misbehaviour = Misbehaviour(lost_answer=0.6)

    done = await office.replay(QUEUE, ALL, asked(), per_second=50, dry_run=False)

    store.misbehaviour = Misbehaviour()
    assert done.done == numbers
    assert await trail(store) == [("intent", []), ("outcome", numbers)]


async def test_a_key_of_another_request_touches_nothing(bus: Interrupted, office: DeadLetterOffice) -> None:
    await bury(bus, b"1")
    await office.discard(QUEUE, Choice((99,)), asked(request="one"), dry_run=False)

    with pytest.raises(KeyReused):
        await office.discard(QUEUE, ALL, asked(request="other"), dry_run=False)

    assert (await bus.counts(QUEUE))["dead"] == 1


async def test_one_call_discards_no_more_than_its_audit_entry_can_keep(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore
) -> None:
    large = b"x" * 200_000
    numbers = await bury(bus, *[large] * 7)

    done = await office.discard(QUEUE, ALL, asked(), dry_run=False)

    kept = DISCARDED_BYTES_MAX // len(large)
    assert (done.done, done.more) == (numbers[:kept], True)
    assert (await bus.counts(QUEUE))["dead"] == len(numbers) - kept
    intent = await store.read(AUDIT, f"{PLATFORM}#{utc_now():%Y-%m}", "aud_1:intent")
    assert [len(letter["body"]) for letter in intent.value["details"]["letters"]] == [len(large)] * kept


@pytest.mark.parametrize("first_heard", [True, False])
async def test_a_request_repeated_in_the_next_month_is_the_same_request(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore, first_heard: bool
) -> None:
    numbers = await bury(bus, *[b"1"] * DEAD_LETTERS_MAX)
    last_second = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    if first_heard:
        await office.discard(QUEUE, ALL, asked(now=last_second), dry_run=False)
    else:
        bus.lost_answers = 1
        with pytest.raises(BusAway):
            await office.discard(QUEUE, ALL, asked(now=last_second), dry_run=False)
    others = await bury(bus, *[b"other"] * 20, prefix="other")

    again = await office.discard(QUEUE, ALL, asked(now=last_second + timedelta(seconds=2)), dry_run=False)

    assert (again.done, again.gone) == ((numbers, []) if first_heard else ([], numbers))
    assert len(others) == 20
    assert [letter.sequence_number for letter in (await bus.peek_dead_letters(QUEUE)).letters] == others
    november, december = [
        (await AuditTrail(store).page(PLATFORM, datetime(2026, month, 1, tzinfo=UTC), limit=9, continuation=None))
        for month in (11, 12)
    ]
    assert ([each.value["step"] for each in november.documents], december.documents) == (["outcome", "intent"], [])
    with pytest.raises(KeyReused):
        await office.discard(QUEUE, ALL, asked(request="other", now=datetime(2026, 12, 31, tzinfo=UTC)), dry_run=False)


async def test_letters_that_only_did_not_fit_into_the_call_are_not_called_gone(
    bus: Interrupted, office: DeadLetterOffice
) -> None:
    numbers = await bury(bus, *[b"x" * 200_000] * 7)
    choice = Choice((*numbers, 999))

    planned = await office.discard(QUEUE, choice, asked(), dry_run=True)
    done = await office.discard(QUEUE, choice, asked(), dry_run=False)

    assert (planned.gone, planned.more) == ([999], True)
    assert (done.done, done.gone, done.more) == (numbers[:5], [999], True)
    dead = [letter.sequence_number for letter in (await bus.peek_dead_letters(QUEUE)).letters]
    assert dead == numbers[5:]


@pytest.mark.parametrize("byte", [b"\xff", b"\0", b'"', b"x", "ö".encode()])
async def test_what_is_discarded_fits_into_the_trail_whatever_its_bytes(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore, byte: bytes
) -> None:
    largest = byte * ((MESSAGE_BYTES_MAX - 100) // len(byte))
    numbers = await bury(bus, *[largest] * 5)

    done = await office.discard(QUEUE, ALL, asked(), dry_run=False)

    assert done.done == numbers[: len(done.done)]
    assert done.more == (len(done.done) < len(numbers))
    assert (await bus.counts(QUEUE))["dead"] == len(numbers) - len(done.done)
    assert await trail(store) == [("intent", []), ("outcome", done.done)]


async def test_copies_of_a_replay_that_is_finished_later_are_spread_from_then_on(
    bus: Interrupted, office: DeadLetterOffice
) -> None:
    numbers = await bury(bus, b"1", b"2", b"3")
    begun = utc_now() - timedelta(hours=1)
    bus.lost_requests = 1
    with pytest.raises(BusAway):
        await office.replay(QUEUE, ALL, asked(now=begun), per_second=1, dry_run=False)
    resumed = utc_now()

    done = await office.replay(QUEUE, ALL, asked(now=resumed), per_second=1, dry_run=False)
    again = await office.replay(QUEUE, ALL, asked(now=resumed + timedelta(hours=1)), per_second=1, dry_run=False)

    assert done.done == numbers
    assert [letter.due_at for letter in done.letters] == [resumed + timedelta(seconds=n) for n in range(3)]
    assert again == done
    assert await waiting(bus) == ["replay:aud_1:1"]


async def test_a_copy_the_bus_can_never_take_is_refused_now_and_when_asked_again(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore
) -> None:
    await bury(
        bus, b"small", b"x" * (MESSAGE_BYTES_MAX - 20)
    )  # the copy says whose copy it is, for which no room is left

    for _ in range(2):
        with pytest.raises(CopyRefused, match="exceeds 262144 bytes"):
            await office.replay(QUEUE, ALL, asked(), per_second=50, dry_run=False)

    assert (await bus.counts(QUEUE))["dead"] == 2
    assert await waiting(bus) == []
    page = await AuditTrail(store).page(PLATFORM, utc_now(), limit=50, continuation=None)
    outcome, _ = [each.value["details"] for each in page.documents]
    assert (outcome["done"], outcome["gone"], "exceeds" in outcome["refused"]) == ([], [], True)


async def test_a_page_of_the_trail_is_short_where_its_entries_are_large_and_the_next_one_goes_on(
    bus: Interrupted, office: DeadLetterOffice, store: ChaosStore
) -> None:
    begun = utc_now().replace(day=15)
    for n in range(8):
        await bury(bus, *[b"x" * 250_000] * 4, prefix=f"m{n}")
        instruction = replace(asked(now=begun + timedelta(seconds=n)), audit_id=f"aud_{n}")
        assert len((await office.discard(QUEUE, ALL, instruction, dry_run=False)).done) == 4

    pages, continuation = [], None
    for _ in range(20):
        page = await AuditTrail(store).page(PLATFORM, begun, limit=200, continuation=continuation)
        pages.append([each.id for each in page.documents])
        continuation = page.continuation
        if continuation is None:
            break
        assert sum(len(str(each.value)) for each in page.documents) < PAGE_BYTES_MAX + READ_AT_ONCE * COMMIT_BYTES_MAX

    assert len(pages) > 1
    entries = [f"aud_{n}:{step}" for n in range(8) for step in ("intent", "outcome")]
    assert sorted(id_ for ids in pages for id_ in ids) == sorted(entries)
    assert len((await AuditTrail(store).page(PLATFORM, begun, limit=3, continuation=None)).documents) == 3


async def test_dead_letters_are_counted_by_the_timer_and_by_who_looks_and_forgotten_when_nobody_does(
    bus: Interrupted, office: DeadLetterOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = DeadLetterWatch(bus)
    await watch.tell_changes(utc_now())
    assert (gauges()[f"dead_letters.{QUEUE}"], dead_letter_warnings()) == (0, [])

    await bury(bus, b"1", b"2")
    await watch.tell_changes(utc_now())
    assert gauges()[f"dead_letters.{QUEUE}"] == 2
    assert dead_letter_warnings() == ["There are dead letters: see /api/operations/dead-letters."]

    await bury(bus, b"3", prefix="more")
    assert (await office.counts())[QUEUE] == gauges()[f"dead_letters.{QUEUE}"] == 3

    monkeypatch.setattr("functions.operations.watch.VALID_SECONDS", 0.0)
    await watch.tell_changes(utc_now())
    assert (f"dead_letters.{QUEUE}" in gauges(), dead_letter_warnings()) == (False, [])


@pytest.mark.parametrize("trouble", [BusUnavailable("away"), MessageRefused("no such queue")])
async def test_a_bus_that_cannot_be_asked_is_logged_and_the_timer_goes_on(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Unanswering(Mailbag):
        """A bus that says no."""

        async def dead_counts(self) -> Mapping[str, int]:
            """See `DeadLetters.dead_counts`."""
            raise trouble

    await DeadLetterWatch(Unanswering()).tell_changes(utc_now())
    assert [json.loads(record.getMessage())["event"] for record in caplog.records] == ["bus_unavailable"]


async def test_an_alarm_fires_when_letters_came_or_some_went_and_neither_at_the_start_nor_at_the_end(
    bus: Interrupted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tessera.operations")
    watch, now = DeadLetterWatch(bus), utc_now()
    told: list[list[tuple[str, str, int]]] = []

    async def tell() -> None:
        nonlocal now
        now += timedelta(minutes=1)
        caplog.clear()
        await watch.tell_changes(now)
        lines = [(record.levelname, json.loads(record.getMessage())) for record in caplog.records]
        told.append([(level, line["event"], line.get(QUEUE, 0)) for level, line in lines])

    await tell()  # nothing yet
    numbers = await bury(bus, b"1", b"2")
    await tell()  # the first
    await tell()  # the same
    numbers = await bury(bus, b"3", prefix="more")
    await tell()  # more
    await bus.discard(QUEUE, numbers[:1])
    await tell()  # fewer
    await bus.discard(QUEUE, numbers[1:])
    await tell()  # none
    await tell()  # none still

    assert told == [
        [],
        [("WARNING", "dead_letters", 2)],
        [],
        [("WARNING", "dead_letters", 3)],
        [("WARNING", "dead_letters", 2)],
        [("INFO", "dead_letters_gone", 0)],
        [],
    ]
