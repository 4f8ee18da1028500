"""Application Insights: what collects spans, events and metrics where the settings name a connection string.

A request only puts something into a queue, which a thread empties; when a queue is full, what comes next is dropped and
counted. What the ingestion does not take is lost and counted: nothing is kept on disk. OpenCensus is loaded by that
thread, once there is something to send, so that no start waits for it.
"""

import atexit
import threading
import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from shared.telemetry.connection import Authentication, Connection
from shared.telemetry.deltas import Deltas
from shared.telemetry.logs import Log
from shared.telemetry.tracing import BusinessEvent, Span
from shared.telemetry.waiting import QUEUE_MAX, Waiting

if TYPE_CHECKING:
    from shared.telemetry.census import Census

SEND_SECONDS: Final = 5.0
METRICS_SECONDS: Final = 30.0
FLUSH_SECONDS: Final = 3.0
BATCH_MAX: Final = 200
BATCHES_MAX: Final = QUEUE_MAX // BATCH_MAX + 1  # of one queue in one sending
_log = Log("telemetry")


class ApplicationInsights:
    """Sends spans as requests and dependencies, events as custom events, and metrics twice a minute.

    :param role: the name of the app, which Application Insights shows as the node of its map
    :param sampling_ratio: the share of operations whose spans come here, so that counts can be scaled
    :param send_seconds: how long spans and events wait for others to be sent with
    :param flush_seconds: how long the end of the process waits for what is still to be sent
    """

    def __init__(
        self,
        connection: Connection,
        authentication: Authentication,
        *,
        role: str = "tessera",
        sampling_ratio: float = 1.0,
        send_seconds: float = SEND_SECONDS,
        metrics_seconds: float = METRICS_SECONDS,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        def load() -> "Census":
            from shared.telemetry.census import Census

            return Census(connection, authentication, role=role, sampling_ratio=sampling_ratio)

        self._sender = _Sender(load, send_seconds, metrics_seconds)
        self._spans, self._events = self._sender.spans, self._sender.events
        atexit.register(self.close, flush_seconds)

    def span(self, span: Span) -> None:
        """See `Exporter.span`."""
        self._spans.add(span, span.trace_id)

    def event(self, event: BusinessEvent) -> None:
        """See `Exporter.event`."""
        self._events.add(event)

    def close(self, seconds: float) -> None:
        """See `Exporter.close`; a second time does nothing."""
        atexit.unregister(self.close)
        self._sender.ask_to_stop(seconds)
        self._sender.join(seconds)


class _Sender(threading.Thread):
    """Sends what waits each `send_seconds`, what was measured each `metrics_seconds`, and both once at the end.

    It is woken when a queue is a quarter full, and does not sleep while whole batches wait; where nobody takes them it
    does, or it would do nothing but ask. The library's own workers would wake for each span, which costs a request more
    than everything else here.

    :param load: gives the library; called once, when there is something to send
    """

    def __init__(self, load: Callable[[], "Census"], send_seconds: float, metrics_seconds: float) -> None:
        super().__init__(name="Application Insights", daemon=True)
        self._load = load
        self._census: Census | None = None
        self._send_seconds, self._metrics_seconds = send_seconds, metrics_seconds
        self._deltas = Deltas()
        self._end = inf  # by the monotonic clock
        self._woken, self._stopping = threading.Event(), threading.Event()
        self.spans, self.events = Waiting[Span](self._woken), Waiting[BusinessEvent](self._woken)
        self.start()

    def run(self) -> None:
        """Until asked to stop."""
        due = time.monotonic() + self._metrics_seconds
        while not self._stopping.is_set():
            self._woken.wait(self._send_seconds)
            self._woken.clear()
            metrics = time.monotonic() >= due
            if metrics:
                due = time.monotonic() + self._metrics_seconds
            if not self._send(metrics=metrics):
                self._stopping.wait(self._send_seconds)
            elif max(len(self.spans), len(self.events)) >= BATCH_MAX:
                self._woken.set()
        self._send(metrics=True)

    def ask_to_stop(self, seconds: float) -> None:
        """Send once more, beginning nothing new after `seconds`, then end."""
        self._end = time.monotonic() + seconds
        self._stopping.set()
        self._woken.set()

    def _send(self, *, metrics: bool) -> bool:
        """Whether all that was sent was taken."""
        try:
            if self._census is None:
                waits = len(self.spans) or len(self.events)
                if not waits and (not metrics or self._stopping.is_set()):
                    return True  # a process that ends is not kept waiting for the library
                self._census = self._load()
            taken = self._empty(self.spans, self._census.send_spans)
            taken = self._empty(self.events, self._census.send_events) and taken
            if metrics and time.monotonic() < self._end:
                taken = self._census.send_metrics(self._deltas.since_last()) and taken
            return taken
        except Exception as error:  # the thread must outlive whatever the library does not expect
            _log.error("telemetry_not_sent", error=error)
            return False

    def _empty[T](self, waiting: Waiting[T], send: Callable[[list[T]], bool]) -> bool:
        """Send batch by batch; when one is not taken, the rest waits for the next time."""
        for _ in range(BATCHES_MAX):
            if not len(waiting) or time.monotonic() >= self._end:
                return True
            if not send(waiting.take(BATCH_MAX)):
                return False
        return True
