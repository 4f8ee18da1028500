"""What waits to be sent: requests put it here, and one thread takes it out. Only the standard library."""

import threading
from collections import deque
from typing import Final

from shared.telemetry.metrics import count

QUEUE_MAX: Final = 8_192  # spans, and as many events, that wait to be sent: a few megabytes
WAKE_AT: Final = QUEUE_MAX // 4
NEARLY_FULL: Final = QUEUE_MAX * 3 // 4


class Waiting[T]:
    """A bounded queue that never waits and never raises; what it does not take is counted (`telemetry_dropped`).

    When it is nearly full, whole operations stay out instead of single spans: the fuller it is, the more. It is decided
    by the trace id, so an operation that is let in stays let in while there is as much room.

    :param full: set when a quarter of the queue waits, for whoever empties it
    """

    def __init__(self, full: threading.Event) -> None:
        self._waiting: deque[T] = deque()
        self._full = full

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: T, trace_id: str = "") -> None:
        """Keep `item` until it is sent, if there is room for it.

        :param trace_id: 32 hexadecimal digits, or empty for what belongs to no operation and stays out only when there
            is no room at all
        """
        waiting = len(self._waiting)
        if waiting >= WAKE_AT:
            if not self._full.is_set():
                self._full.set()
            if waiting >= QUEUE_MAX or (trace_id and waiting >= NEARLY_FULL and not _let_in(trace_id, waiting)):
                count("telemetry_dropped")
                return
        self._waiting.append(item)

    def take(self, number: int) -> list[T]:
        """Take out what has waited longest, at most `number`; for one thread alone."""
        return [self._waiting.popleft() for _ in range(min(number, len(self._waiting)))]


def _let_in(trace_id: str, waiting: int) -> bool:
    """Whether the operation is of the share for which there is room.

    Sampling looks at the other end of the id (`tracing.py`), so the two do not leave out the same.
    """
    return int(trace_id[:8], 16) / 2**32 < (QUEUE_MAX - waiting) / (QUEUE_MAX - NEARLY_FULL)
