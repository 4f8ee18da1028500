"""Logs, metrics, traces and business events, without a word of who collects them (docs/telemetry.md).

What collects them is an adapter that `functions/composition` chooses: `applicationinsights.py` by OpenCensus,
which only `census.py` knows ([ADR 11](../../docs/adr/0011-opencensus-behind-a-neutral-interface.md)).
"""

from shared.telemetry.context import correlation, use_case
from shared.telemetry.invocations import FAILED, OK, POSTPONED, REFUSED, Invocation
from shared.telemetry.logs import Log, quieten_libraries
from shared.telemetry.metrics import (
    BUCKETS,
    Charge,
    Histogram,
    StoreCall,
    charge,
    charges,
    count,
    counters,
    gauge,
    gauges,
    histograms,
    observe,
    sends,
    sent_to,
)
from shared.telemetry.tracing import (
    DIAGNOSTIC_ID,
    Attribute,
    BusinessEvent,
    Exporter,
    Span,
    SpanKind,
    adopt,
    begin,
    business_event,
    export_to,
    finish,
    span,
    trace_parent,
)

__all__ = [
    "BUCKETS",
    "DIAGNOSTIC_ID",
    "FAILED",
    "OK",
    "POSTPONED",
    "REFUSED",
    "Attribute",
    "BusinessEvent",
    "Charge",
    "Exporter",
    "Histogram",
    "Invocation",
    "Log",
    "Span",
    "SpanKind",
    "StoreCall",
    "adopt",
    "begin",
    "business_event",
    "charge",
    "charges",
    "correlation",
    "count",
    "counters",
    "export_to",
    "finish",
    "gauge",
    "gauges",
    "histograms",
    "observe",
    "quieten_libraries",
    "sends",
    "sent_to",
    "span",
    "trace_parent",
    "use_case",
]
