"""Application Insights: what collects spans, events and metrics where the settings name a connection string.

A request only puts something into a queue, which threads empty; when a queue is full, what comes next is dropped and
counted. What the ingestion does not take is lost and counted: nothing is kept on disk.
"""

import atexit
import logging
import os
import platform
import threading
import time
from typing import Any, Final

from shared.telemetry.census import (
    BATCH_MAX,
    FLUSH_SECONDS,
    QUEUE_MAX,
    Events,
    MetricEnvelopes,
    Spans,
    leave_untraced,
    quieten,
)
from shared.telemetry.connection import ANSWER_SECONDS_MAX, Authentication, Connection
from shared.telemetry.deltas import Deltas
from shared.telemetry.logs import Log
from shared.telemetry.scrubbing import scrubbed, scrubbed_text
from shared.telemetry.tracing import BusinessEvent, Span

SEND_SECONDS: Final = 5.0
METRICS_SECONDS: Final = 60.0
_STRUCTURE: Final = frozenset({"id", "ver", "duration", "metrics"})  # of an envelope: ids and numbers, no text of ours
_log = Log("telemetry")


class ApplicationInsights:
    """Sends spans as requests and dependencies, events as custom events, and metrics each minute.

    :param role: the name of the app, which Application Insights shows as the node of its map
    :param sampling_ratio: the share of operations whose spans come here, so that counts can be scaled
    :param send_seconds: how long spans and events wait for others to be sent with
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
    ) -> None:
        quieten()
        options: dict[str, Any] = {
            "connection_string": f"InstrumentationKey={connection.instrumentation_key};"
            f"IngestionEndpoint={connection.endpoint}",
            "credential": _credential(authentication),
            "enable_local_storage": False,
            "enable_standard_metrics": False,
            "export_interval": send_seconds,
            "grace_period": FLUSH_SECONDS,
            "max_batch_size": BATCH_MAX,
            "queue_capacity": QUEUE_MAX,
            "timeout": ANSWER_SECONDS_MAX,
        }
        self._spans = Spans(sampling_ratio=sampling_ratio, **options)
        self._events = Events(**options)
        metrics = MetricEnvelopes(**options)
        atexit.unregister(metrics.shutdown)
        self._node = {"ai.cloud.role": role, "ai.cloud.roleInstance": f"{platform.node()}:{os.getpid()}"}
        for exporter in (self._spans, self._events, metrics):
            exporter.add_telemetry_processor(self._prepare)
        self._sender = _Sender(self._spans, metrics, send_seconds, metrics_seconds)
        atexit.register(self.close, FLUSH_SECONDS)  # one bounded end for all three

    def span(self, span: Span) -> None:
        """See `Exporter.span`."""
        self._spans.add(span)

    def event(self, event: BusinessEvent) -> None:
        """See `Exporter.event`."""
        self._events.handle(logging.makeLogRecord({"msg": "business event", "told": event}))

    def _prepare(self, envelope: Any) -> None:
        """The library calls this for every envelope before it is sent: nothing personal leaves, and we are named."""
        told = envelope.data.baseData
        for key in list(told):
            if key not in _STRUCTURE:
                told[key] = scrubbed(told[key])
        envelope.tags.update(self._node)
        if "ai.operation.name" in envelope.tags:
            envelope.tags["ai.operation.name"] = scrubbed_text(envelope.tags["ai.operation.name"])

    def close(self, seconds: float) -> None:
        """See `Exporter.close`; a second time does nothing."""
        atexit.unregister(self.close)
        deadline = time.monotonic() + seconds
        self._sender.ask_to_stop()
        self._events.close(_left(deadline))
        self._sender.join(_left(deadline))


class _Sender(threading.Thread):
    """Sends spans each `send_seconds`, what was measured each `metrics_seconds`, and both once at the end.

    The library's worker would wake for each span, which costs a request more than everything else here.
    """

    def __init__(self, spans: Spans, metrics: MetricEnvelopes, send_seconds: float, metrics_seconds: float) -> None:
        super().__init__(name="Application Insights", daemon=True)
        self._spans, self._metrics = spans, metrics
        self._send_seconds, self._metrics_seconds = send_seconds, metrics_seconds
        self._deltas = Deltas()
        self._asked = threading.Event()
        self.start()

    def run(self) -> None:
        """Until asked to stop."""
        leave_untraced()
        due = time.monotonic() + self._metrics_seconds
        while not self._asked.wait(self._send_seconds):
            self._send(metrics=time.monotonic() >= due)
            if time.monotonic() >= due:
                due = time.monotonic() + self._metrics_seconds
        self._send(metrics=True)

    def ask_to_stop(self) -> None:
        """Send once more, then end."""
        self._asked.set()

    def _send(self, *, metrics: bool) -> None:
        try:
            self._spans.send_waiting()
            if metrics:
                self._metrics.export_metrics(self._deltas.since_last())
        except Exception as error:  # the thread must outlive whatever the library does not expect
            _log.error("telemetry_not_sent", error=error)


def _credential(authentication: Authentication) -> Any:
    if not authentication.by_identity:
        return None
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=authentication.client_id or None)


def _left(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())  # the library takes 0 for its own bound
