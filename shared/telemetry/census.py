"""The only file that knows OpenCensus (ADR 11): its exporters to Application Insights, fitted to what we measure.

Importing OpenCensus costs about half a second, so this module is imported only where the settings ask for it.
"""

import atexit
import logging
import threading
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from shared.telemetry.deltas import Measurement
from shared.telemetry.logs import Log
from shared.telemetry.metrics import count
from shared.telemetry.tracing import BusinessEvent, Span, SpanKind

with warnings.catch_warnings():
    # OpenCensus is retired; what it warns of on Python 3.13 (`locale.getdefaultlocale`) stays as it is.
    warnings.simplefilter("ignore", DeprecationWarning)
    from opencensus.ext.azure.common import utils
    from opencensus.ext.azure.common.protocol import Data, DataPoint, Envelope, Event
    from opencensus.ext.azure.common.transport import TransportStatusCode
    from opencensus.ext.azure.log_exporter import AzureEventHandler
    from opencensus.ext.azure.metrics_exporter import MetricsExporter
    from opencensus.ext.azure.trace_exporter import AzureExporter
    from opencensus.trace.execution_context import set_is_exporter

QUEUE_MAX: Final = 8_192  # spans, and as many events, that wait to be sent: a few megabytes
BATCH_MAX: Final = 200
FLUSH_SECONDS: Final = 3.0
_REQUEST: Final = "Microsoft.ApplicationInsights.Request"
_DEPENDENCY: Final = "Microsoft.ApplicationInsights.RemoteDependency"
_OF_THE_SPAN: Final = frozenset({"http.method", "http.route", "http.status_code", "component", "target"})
_log = Log("telemetry")
_lock: Final = threading.Lock()


class Told:
    """What all three kinds share: counts what was taken and what not, and tells a change once instead of each time.

    :param taken: whether the last batch of any kind was
    :param was_taken: whether the last of this kind was
    """

    taken = True
    was_taken = True

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
            changed, Told.taken = taken != Told.taken, taken
        self.was_taken = taken
        if changed and taken:
            _log.info("telemetry_taken_again")
        elif changed:
            _log.warning("telemetry_not_taken")
        return result


class Spans(Told, AzureExporter):  # type: ignore[misc]  # the library has no types
    """The library's exporter of traces, for spans of ours, which wait here for the sender."""

    def __init__(self, *, sampling_ratio: float, **options: Any) -> None:
        super().__init__(**options)
        atexit.unregister(self._worker.stop)
        atexit.unregister(self._stop)
        self._stop(FLUSH_SECONDS)
        self._sample_rate = 100.0 * sampling_ratio
        self._waiting: deque[Span] = deque()

    def add(self, span: Span) -> None:
        """Keep a span until it is sent; what there is no room for is dropped, and counted."""
        if len(self._waiting) >= QUEUE_MAX:
            count("telemetry_dropped")
        else:
            self._waiting.append(span)

    def send_waiting(self) -> None:
        """Send what waits, batch by batch; when one is not taken, the rest waits for the next time."""
        for _ in range(QUEUE_MAX // BATCH_MAX + 1):
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            if batch:
                self.emit(batch)
            if not batch or not self.was_taken:
                return

    def span_data_to_envelope(self, span: Span) -> Iterator[Any]:
        """The envelope of a span: a request where the time is ours, a dependency where it is somebody else's.

        The library's own way, from a span of its own, costs several times the CPU.
        """
        name, ours = _name(span), span.kind in {SpanKind.SERVER, SpanKind.CONSUMER}
        tags = {**utils.azure_monitor_context, "ai.operation.id": span.trace_id, "ai.operation.name": name}
        if span.parent_id:
            tags["ai.operation.parentId"] = span.parent_id
        told: dict[str, Any] = {
            "ver": 2, "id": span.span_id, "name": name, "success": span.ok,
            "duration": utils.microseconds_to_duration(int(span.seconds * 1_000_000)),
            "properties": {key: value for key, value in span.attributes.items() if key not in _OF_THE_SPAN},
        }  # fmt: skip
        code = str(span.attributes.get("http.status_code", 0 if span.ok else 1))
        if ours:
            told["responseCode"] = code
        else:
            told |= {"resultCode": code, "type": span.attributes.get("component", "")}
            told["target"] = span.attributes.get("target", "")
        yield Envelope(
            iKey=self.options.instrumentation_key, name=_REQUEST if ours else _DEPENDENCY, tags=tags,
            time=_moment(span.started_at), sampleRate=self._sample_rate,
            data=Data(baseData=told, baseType="RequestData" if ours else "RemoteDependencyData"),
        )  # fmt: skip


class Events(Told, AzureEventHandler):  # type: ignore[misc]  # the library has no types
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


class MetricEnvelopes(Told, MetricsExporter):  # type: ignore[misc]  # the library has no types
    """The library's exporter of metrics, for measurements of ours: its own leaves histograms out."""

    def metric_to_envelopes(self, metric: Measurement) -> list[Any]:
        """The envelope of a measurement."""
        point = DataPoint(ns="tessera", name=metric.name, value=metric.value, count=metric.number)
        return [self._create_envelope(point, metric.at, dict(metric.properties))]


class _CountDropped(logging.Filter):
    """Counts the warning the library gives for each piece its queue has no room for, and keeps it to itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        count("telemetry_dropped")
        return False


def quieten() -> None:
    """The library warns of every batch that is not taken; `Told` says so once, and counts."""
    logging.getLogger("opencensus").setLevel(logging.CRITICAL)
    queue = logging.getLogger("opencensus.common.schedule")
    queue.setLevel(logging.WARNING)
    if not any(isinstance(each, _CountDropped) for each in queue.filters):
        queue.addFilter(_CountDropped())


def leave_untraced() -> None:
    """Say that what this thread asks over the network is the exporter's own."""
    set_is_exporter(True)


def _name(span: Span) -> str:
    if span.kind is not SpanKind.SERVER:
        return span.name
    return f"{span.attributes['http.method']} {span.attributes['http.route']}"


def _moment(at: float) -> str:
    """Seconds since the epoch as the library writes them."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at % 1 * 1_000_000):06d}Z"
