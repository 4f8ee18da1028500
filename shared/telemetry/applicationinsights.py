"""Application Insights by OpenCensus: the only file that knows either (ADR 11).

Each of the three kinds has a queue and a thread of the library's own kind, so a request only puts something into a
queue; when that is full, what comes next is dropped and counted. What the ingestion does not take is lost and counted:
nothing is kept on disk. Importing OpenCensus costs about half a second, so this module is imported only where the
settings ask for it.
"""

import atexit
import logging
import os
import platform
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

from shared.telemetry.connection import Authentication, Connection
from shared.telemetry.deltas import Deltas, Measurement
from shared.telemetry.logs import Log
from shared.telemetry.metrics import count
from shared.telemetry.scrubbing import scrubbed, scrubbed_text
from shared.telemetry.tracing import BusinessEvent, Span, SpanKind

with warnings.catch_warnings():
    # OpenCensus is retired; what it warns of on Python 3.13 (locale, utcfromtimestamp, pkg_resources) stays as it is.
    warnings.simplefilter("ignore", DeprecationWarning)
    from opencensus.ext.azure.common import utils
    from opencensus.ext.azure.common.protocol import Data, DataPoint, Envelope, Event
    from opencensus.ext.azure.common.transport import TransportStatusCode
    from opencensus.ext.azure.log_exporter import AzureEventHandler
    from opencensus.ext.azure.metrics_exporter import MetricsExporter
    from opencensus.ext.azure.trace_exporter import AzureExporter
    from opencensus.trace.execution_context import set_is_exporter
    from opencensus.trace.span import SpanKind as CensusKind
    from opencensus.trace.span_context import SpanContext
    from opencensus.trace.span_data import SpanData
    from opencensus.trace.status import Status

QUEUE_MAX: Final = 8_192  # spans, and as many events, that wait to be sent: a few megabytes
BATCH_MAX: Final = 200
SEND_SECONDS: Final = 5.0
METRICS_SECONDS: Final = 60.0
ANSWER_SECONDS_MAX: Final = 5.0  # for the ingestion to begin answering, and between any two parts of its answer
FLUSH_SECONDS: Final = 3.0
_STRUCTURE: Final = frozenset({"id", "ver", "duration", "metrics"})  # of an envelope: ids and numbers, no text of ours
_log = Log("telemetry")
_lock: Final = threading.Lock()


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
        _quieten()
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
        self._spans = _Spans(sampling_ratio=sampling_ratio, **options)
        self._events = _Events(**options)
        self._metrics = _Metrics(metrics_seconds, options)
        self._node = {"ai.cloud.role": role, "ai.cloud.roleInstance": f"{platform.node()}:{os.getpid()}"}
        for exporter in (self._spans, self._events, self._metrics.exporter):
            exporter.add_telemetry_processor(self._prepare)
        atexit.register(self.close, FLUSH_SECONDS)

    def span(self, span: Span) -> None:
        """See `Exporter.span`."""
        self._spans.export([span])

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
        self._metrics.ask_to_stop()
        self._spans.stop(_left(deadline))
        self._events.close(_left(deadline))
        self._metrics.join(_left(deadline))


class _Told:
    """What all three kinds share: counts what was taken and what not, and tells a change once instead of each time."""

    taken = True

    def _check_stats_collection(self) -> bool:
        """No: the library would report on itself, to Microsoft, from threads of its own (statsbeat)."""
        return False

    def _transmit(self, envelopes: Sequence[Any]) -> Any:
        result = super()._transmit(envelopes)  # type: ignore[misc]  # of the library's TransportMixin
        if not envelopes:
            return result
        taken = result == TransportStatusCode.SUCCESS
        with _lock:  # three threads count here
            count("telemetry_batches_sent" if taken else "telemetry_batches_lost")
            changed, _Told.taken = taken != _Told.taken, taken
        if changed and taken:
            _log.info("telemetry_taken_again")
        elif changed:
            _log.warning("telemetry_not_taken")
        return result


class _Spans(_Told, AzureExporter):  # type: ignore[misc]  # the library has no types
    """The library's exporter of traces, for spans of ours."""

    def __init__(self, *, sampling_ratio: float, **options: Any) -> None:
        super().__init__(**options)
        atexit.unregister(self._worker.stop)  # one bounded end for all, instead of one each
        atexit.unregister(self._stop)
        self._sampling_ratio = sampling_ratio

    def span_data_to_envelope(self, span: Span) -> Iterator[Any]:
        """The envelope of a span: a request where the time is ours, a dependency where it is somebody else's."""
        for envelope in super().span_data_to_envelope(_census(span)):
            told = envelope.data.baseData
            told.name, told.success = _name(span), span.ok
            if "target" in span.attributes:
                told.target = str(span.attributes["target"])
            envelope.tags["ai.operation.name"] = told.name
            envelope.sampleRate = 100.0 * self._sampling_ratio
            yield envelope

    def stop(self, seconds: float) -> None:
        """Send what waits, for so long."""
        self._stop(seconds)


class _Events(_Told, AzureEventHandler):  # type: ignore[misc]  # the library has no types
    """The library's handler for custom events. It is attached to no logger: `event` hands it each record."""

    # The library's own sets no lock, which `logging.Handler.handle` needs since Python 3.13.
    createLock = logging.Handler.createLock  # noqa: N815 - the standard library's name
    _ended = False

    def log_record_to_envelope(self, record: logging.LogRecord) -> Any:
        """The envelope of a business event."""
        event: BusinessEvent = vars(record)["told"]
        tags = dict(utils.azure_monitor_context)
        if event.trace_id:
            tags |= {"ai.operation.id": event.trace_id, "ai.operation.parentId": event.span_id}
        told = Event(name=event.name, properties=dict(event.properties), measurements=dict(event.measurements))
        return Envelope(
            iKey=self.options.instrumentation_key, name="Microsoft.ApplicationInsights.Event", tags=tags,
            time=_moment(event.at), data=Data(baseData=told, baseType="EventData"),
        )  # fmt: skip

    def flush(self, timeout: float | None = None) -> None:
        """Nothing: `logging.shutdown` would wait here without a bound; `close` sends what waits."""

    def close(self, timeout: float | None = None) -> None:
        """Send what waits, for so long; again does nothing."""
        if not self._ended:
            self._ended = True
            super().close(timeout)


class _MetricEnvelopes(_Told, MetricsExporter):  # type: ignore[misc]  # the library has no types
    """The library's exporter of metrics, for measurements of ours: its own leaves histograms out."""

    def metric_to_envelopes(self, metric: Measurement) -> list[Any]:
        """The envelope of a measurement."""
        point = DataPoint(ns="tessera", name=metric.name, value=metric.value, count=metric.number)
        return [self._create_envelope(point, metric.at, dict(metric.properties))]


class _Metrics(threading.Thread):
    """Sends what was measured since the last time, each `seconds` and once at the end."""

    def __init__(self, seconds: float, options: dict[str, Any]) -> None:
        super().__init__(name="Application Insights metrics", daemon=True)
        self.exporter: Any = _MetricEnvelopes(**options)
        atexit.unregister(self.exporter.shutdown)
        self._seconds = seconds
        self._deltas = Deltas()
        self._asked = threading.Event()
        self.start()

    def run(self) -> None:
        """Until asked to stop."""
        set_is_exporter(True)  # the library's word for: do not trace what this thread asks
        while not self._asked.wait(self._seconds):
            self._send()
        self._send()

    def ask_to_stop(self) -> None:
        """Send once more, then end."""
        self._asked.set()

    def _send(self) -> None:
        try:
            self.exporter.export_metrics(self._deltas.since_last())
        except Exception as error:  # the thread must outlive whatever the library does not expect
            _log.error("metrics_not_sent", error=error)


class _CountDropped(logging.Filter):
    """Counts the warning the library gives for each piece its queue has no room for, and keeps it to itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        count("telemetry_dropped")
        return False


def _quieten() -> None:
    """The library warns of every batch that is not taken; `_Told` says so once, and counts."""
    logging.getLogger("opencensus").setLevel(logging.CRITICAL)
    queue = logging.getLogger("opencensus.common.schedule")
    queue.setLevel(logging.WARNING)
    if not any(isinstance(each, _CountDropped) for each in queue.filters):
        queue.addFilter(_CountDropped())


def _credential(authentication: Authentication) -> Any:
    if not authentication.by_identity:
        return None
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=authentication.client_id or None)


def _census(span: Span) -> SpanData:
    ours = span.kind in {SpanKind.SERVER, SpanKind.CONSUMER}
    return SpanData(
        name=span.name,
        context=SpanContext(trace_id=span.trace_id, span_id=span.span_id),
        span_id=span.span_id,
        parent_span_id=span.parent_id or None,
        attributes={key: value for key, value in span.attributes.items() if key != "target"},
        start_time=_moment(span.started_at),
        end_time=_moment(span.started_at + span.seconds),
        child_span_count=0,
        stack_trace=None,
        annotations=None,
        message_events=None,
        links=None,
        status=Status(0 if span.ok else 2),  # google.rpc.Code: OK, UNKNOWN
        same_process_as_parent_span=None,
        span_kind=CensusKind.SERVER if ours else CensusKind.CLIENT,
    )


def _name(span: Span) -> str:
    if span.kind is not SpanKind.SERVER:
        return span.name
    return f"{span.attributes['http.method']} {span.attributes['http.route']}"


def _moment(at: float) -> str:
    """Seconds since the epoch as the library writes them."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at % 1 * 1_000_000):06d}Z"


def _left(deadline: float) -> float:
    return max(0.01, deadline - time.monotonic())  # the library takes 0 for its own bound
