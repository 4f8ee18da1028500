"""What waits for the sender is bounded; when there is little room, operations come in whole or not at all."""

import random
import threading
from collections import Counter

from shared.telemetry import counters
from shared.telemetry.waiting import NEARLY_FULL, QUEUE_MAX, WAKE_AT, Waiting

SPANS_EACH = 12


def dropped() -> int:
    return counters().get("telemetry_dropped", 0)


def test_the_sender_is_woken_once_a_quarter_waits_and_not_before() -> None:
    full = threading.Event()
    waiting = Waiting[int](full)
    for number in range(WAKE_AT):
        waiting.add(number)
    assert not full.is_set()
    waiting.add(WAKE_AT)
    assert full.is_set()


def test_what_has_waited_longest_is_taken_first_and_no_more_than_there_is() -> None:
    waiting = Waiting[int](threading.Event())
    for number in range(5):
        waiting.add(number)
    assert (waiting.take(3), waiting.take(9), waiting.take(1), len(waiting)) == ([0, 1, 2], [3, 4], [], 0)


def test_when_there_is_little_room_operations_stay_out_whole() -> None:
    waiting, before, dice = Waiting[str](threading.Event()), dropped(), random.Random(7)
    for _ in range((NEARLY_FULL + QUEUE_MAX) // 2):
        waiting.add("earlier")
    operations = [f"{dice.getrandbits(128):032x}" for _ in range(500)]
    sent: list[str] = []
    for _ in range(SPANS_EACH):  # of all operations in turn, as requests at the same time tell them
        for trace_id in operations:
            there = len(waiting)
            waiting.add(trace_id, trace_id)
            sent += waiting.take(len(waiting) - there)  # the sender keeps up with what is let in

    kept = Counter(each for each in [*sent, *waiting.take(QUEUE_MAX)] if each != "earlier")
    assert set(kept.values()) == {SPANS_EACH}
    assert 200 < len(kept) < 300  # half the room between nearly full and full, so half of them
    assert dropped() - before == SPANS_EACH * (len(operations) - len(kept))


def test_a_full_queue_takes_nothing_more_whatever_it_belongs_to() -> None:
    waiting, before = Waiting[int](threading.Event()), dropped()
    for number in range(QUEUE_MAX + 10):
        waiting.add(number)
    waiting.add(0, "0" * 32)
    assert (len(waiting), dropped() - before) == (QUEUE_MAX, 11)
