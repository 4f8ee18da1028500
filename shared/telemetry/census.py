"""The only file that knows OpenCensus (ADR 11): its exporters to Application Insights, fitted to what we measure.

Importing OpenCensus costs about half a second, so this module is imported by the thread that sends, once it has
something to send.
"""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from shared.telemetry.connection import ANSWER_SECONDS_MAX, Authentication, Connection
from shared.telemetry.context import INSTANCE
from shared.telemetry.deltas import Measurement
from shared.telemetry.logs import Log
from shared.telemetry.metrics import count
from shared.telemetry.scrubbing import scrubbed, scrubbed_text
from shared.telemetry.tracing import BusinessEvent, Span, SpanKind
from shared.version import version

with warnings.catch_warnings():
    # OpenCensus is retired; what it warns of on Python 3.13 (`locale.getdefaultlocale`) stays as it is.
    warnings.simplefilter("ignore", DeprecationWarning)
    from opencensus.ext.azure.common import Options, utils
    from opencensus.ext.azure.common.protocol import Data, DataPoint, Envelope, Event
    from opencensus.ext.azure.common.transport import TransportStatusCode
    from opencensus.ext.azure.log_exporter import AzureEventHandler
    from opencensus.ext.azure.metrics_exporter import MetricsExporter
    from opencensus.ext.azure.trace_exporter import AzureExporter
    from opencensus.trace.execution_context import set_is_exporter

_REQUEST: Final = "Microsoft.ApplicationInsights.Request"
_DEPENDENCY: Final = "Microsoft.ApplicationInsights.RemoteDependency"
_OF_THE_SPAN: Final = frozenset({"http.method", "http.route", "http.status_code", "component", "target"})
_STRUCTURE: Final = frozenset({"id", "ver", "duration", "metrics"})  # of an envelope: ids and numbers, no text of ours
_log = Log("telemetry")


class Census:
    """Sends over the library's three exporters. Made, and used, by the thread that sends.

    Each of its methods says whether the last batch was taken.
    """

    def __init__(
        self, connection: Connection, authentication: Authentication, *, role: str, sampling_ratio: float
    ) -> None:
        # The library tells of every batch that is not taken; `Told` says so once, and counts.
        logging.getLogger("opencensus").setLevel(logging.CRITICAL)
        set_is_exporter(True)  # what this thread asks over the network is the exporter's own
        options = Options(
            connection_string=f"InstrumentationKey={connection.instrumentation_key};"
            f"IngestionEndpoint={connection.endpoint}",
            credential=_credential(authentication),
            enable_local_storage=False,
            timeout=ANSWER_SECONDS_MAX,
        )
        # The last is OpenTelemetry's `service.version`, under the name that Application Insights has for it.
        self._node = {"ai.cloud.role": role, "ai.cloud.roleInstance": INSTANCE, "ai.application.ver": version()}
        self._spans = Spans(options, self._prepare, sample_rate=100.0 * sampling_ratio)
        self._events, self._metrics = Events(options, self._prepare), Metrics(options, self._prepare)

    def send_spans(self, spans: Sequence[Span]) -> bool:
        """Send one batch of spans."""
        self._spans.emit(spans)
        return self._spans.was_taken

    def send_events(self, events: Sequence[BusinessEvent]) -> bool:
        """Send one batch of events."""
        self._events.send(events)
        return self._events.was_taken

    def send_metrics(self, measured: Sequence[Measurement]) -> bool:
        """Send measurements, however many batches they are."""
        self._metrics.export_metrics(measured)
        return self._metrics.was_taken

    def _prepare(self, envelope: Any) -> bool:
        """The library calls this for every envelope before it is sent: nothing personal leaves, and we are named.

        It would send an envelope for which this raises as it is, so what cannot be looked through is left out.
        """
        try:
            told = envelope.data.baseData
            for key in list(told):
                if key not in _STRUCTURE:
                    told[key] = scrubbed(told[key])
            envelope.tags.update(self._node)
            if "ai.operation.name" in envelope.tags:
                envelope.tags["ai.operation.name"] = scrubbed_text(envelope.tags["ai.operation.name"])
        except Exception as error:
            _leave_out(error)
            return False
        return True


class Told:
    """What all three kinds share: counts what was taken and what not, and tells a change once instead of each time.

    The library's own beginnings start a thread for each exporter and hook themselves into the end of the process; this
    one does not, as the sender has the one queue, the one thread and the one end there are.

    :param taken: whether the last batch of any kind was
    :param was_taken: whether the last of this kind was
    """

    taken = True
    was_taken = True

    def __init__(self, options: Any, prepare: Callable[[Any], bool]) -> None:
        self.options = options
        self.storage = None
        self.max_batch_size = options.max_batch_size
        self._telemetry_processors = [prepare]
        self._consecutive_redirects = 0
        self._is_stats = False
        self._asking = False

    def _check_stats_collection(self) -> bool:
        """No: the library would report on itself, to Microsoft, from threads of its own (statsbeat)."""
        return False

    def apply_telemetry_processors(self, envelopes: Sequence[Any]) -> list[Any]:
        """What is to be sent of the envelopes; None stands for one that could not be made."""
        made = [envelope for envelope in envelopes if envelope is not None]
        found: list[Any] = super().apply_telemetry_processors(made)  # type: ignore[misc]  # the library's ProcessorMixin
        return found

    def _transmit(self, envelopes: Sequence[Any]) -> Any:
        if self._asking:  # the library asks itself again where it is redirected to; that is the same batch
            return super()._transmit(envelopes)  # type: ignore[misc]  # of the library's TransportMixin
        self._asking = True
        try:
            result = super()._transmit(envelopes)  # type: ignore[misc]
        finally:
            self._asking = False
        self.was_taken = not envelopes or result == TransportStatusCode.SUCCESS
        if not envelopes:
            return result
        count("telemetry_batches_sent" if self.was_taken else "telemetry_batches_lost")
        changed, Told.taken = self.was_taken != Told.taken, self.was_taken
        if changed and self.was_taken:
            _log.info("telemetry_taken_again")
        elif changed:
            _log.warning("telemetry_not_taken")
        return result


class Spans(Told, AzureExporter):  # type: ignore[misc]  # the library has no types
    """The library's exporter of traces, for spans of ours."""

    def __init__(self, options: Any, prepare: Callable[[Any], bool], *, sample_rate: float) -> None:
        super().__init__(options, prepare)
        self._sample_rate = sample_rate

    def span_data_to_envelope(self, span: Span) -> Iterator[Any]:
        """The envelope of a span, if one can be made of it."""
        yield _made(self._envelope, span)

    def _envelope(self, span: Span) -> Any:
        """A request where the time is ours, a dependency where it is somebody else's.

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
        return Envelope(
            iKey=self.options.instrumentation_key, name=_REQUEST if ours else _DEPENDENCY, tags=tags,
            time=_moment(span.started_at), sampleRate=self._sample_rate,
            data=Data(baseData=told, baseType="RequestData" if ours else "RemoteDependencyData"),
        )  # fmt: skip


class Events(Told, AzureEventHandler):  # type: ignore[misc]  # the library has no types
    """The library's handler for custom events, handed events of ours instead of log records; no logger has it."""

    def send(self, events: Sequence[BusinessEvent]) -> None:
        """Send one batch: what the library's worker calls, whose work the sender does."""
        self._export(events)

    def log_record_to_envelope(self, event: BusinessEvent) -> Any:
        """The envelope of a business event, if one can be made of it."""
        return _made(self._envelope, event)

    def _envelope(self, event: BusinessEvent) -> Any:
        tags = dict(utils.azure_monitor_context)
        if event.trace_id:
            tags |= {"ai.operation.id": event.trace_id, "ai.operation.parentId": event.span_id}
        told = Event(name=event.name, properties=dict(event.properties), measurements=dict(event.measurements))
        return Envelope(
            iKey=self.options.instrumentation_key, name="Microsoft.ApplicationInsights.Event", tags=tags,
            time=_moment(event.at), data=Data(baseData=told, baseType="EventData"),
        )  # fmt: skip


class Metrics(Told, MetricsExporter):  # type: ignore[misc]  # the library has no types
    """The library's exporter of metrics, for measurements of ours: its own leaves histograms out."""

    def metric_to_envelopes(self, metric: Measurement) -> list[Any]:
        """The envelope of a measurement, if one can be made of it."""
        return [_made(self._envelope, metric)]

    def _envelope(self, metric: Measurement) -> Any:
        point = DataPoint(ns="tessera", name=metric.name, kind="Aggregation", value=metric.value, count=metric.number)
        return self._create_envelope(point, metric.at, dict(metric.properties))


def _made[T](make: Callable[[T], Any], item: T) -> Any:
    """What `make` makes of one piece; None if it cannot, so that the others of its batch are sent all the same."""
    try:
        return make(item)
    except Exception as error:
        _leave_out(error)
        return None


def _leave_out(error: Exception) -> None:
    count("telemetry_left_out")
    _log.info("telemetry_left_out", reason=type(error).__name__)


def _credential(authentication: Authentication) -> Any:
    if not authentication.by_identity:
        return None
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=authentication.client_id or None)


def _name(span: Span) -> str:
    if span.kind is not SpanKind.SERVER:
        return span.name
    return f"{span.attributes['http.method']} {span.attributes['http.route']}"


def _moment(at: float) -> str:
    """Seconds since the epoch as the library writes them."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at % 1 * 1_000_000):06d}Z"
