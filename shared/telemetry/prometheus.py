"""What this process measured, in the Prometheus text format (https://prometheus.io/docs/instrumenting/exposition_formats/).

The library's global registry stays unused: what is told is read from `metrics.py` at each asking.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shared.telemetry.context import INSTANCE
from shared.telemetry.metrics import BUCKETS, charges, counters, gauges, histograms, sends
from shared.telemetry.names import CHARGE_LABELS, CHARGES, COUNTERS, GAUGES, HISTOGRAMS, SEND_LABELS, SENDS

_PREFIX: Final = "tessera_"
_BOUNDS: Final = [*(str(bound) for bound in BUCKETS), "+Inf"]


class _ThisProcess(Collector):
    """Reads the measurements; each has the label `process`, since several answer at one address."""

    def collect(self) -> Iterator[Metric]:
        """Every metric there is, those that nothing happened to included: a rate needs its zero."""
        process = INSTANCE
        yield from _counted(process)
        yield from _gauged(process)
        yield from _observed(process)
        yield from _charged(process)
        yield from _sent(process)


def _counted(process: str) -> Iterator[Metric]:
    found = counters()
    for name, text in COUNTERS.items():
        family = CounterMetricFamily(_PREFIX + name, text, labels=["process"])
        family.add_metric([process], found.get(name, 0))
        yield family


def _gauged(process: str) -> Iterator[Metric]:
    found = gauges()
    for name, (label, text) in GAUGES.items():
        family = GaugeMetricFamily(_PREFIX + name, text, labels=["process", label])
        for key, value in sorted(found.items()):
            if key.startswith(f"{name}."):
                family.add_metric([process, key.partition(".")[2]], value)
        yield family


def _observed(process: str) -> Iterator[Metric]:
    found = histograms()
    for name, (labels, text) in HISTOGRAMS.items():
        family = HistogramMetricFamily(_PREFIX + name, text, labels=["process", *labels])
        for key, histogram in sorted(found.items()):
            if key[0] == name:
                buckets = list(zip(_BOUNDS, map(float, histogram.cumulative()), strict=True))
                family.add_metric([process, *key[1:]], buckets, histogram.seconds)
        yield family


def _charged(process: str) -> Iterator[Metric]:
    calls, units = (
        CounterMetricFamily(_PREFIX + name, text, labels=["process", *CHARGE_LABELS]) for name, text in CHARGES.items()
    )
    for key, total in sorted(charges().items()):
        calls.add_metric([process, *key], total.calls)
        units.add_metric([process, *key], total.request_units)
    yield calls
    yield units


def _sent(process: str) -> Iterator[Metric]:
    found = sorted(sends().items())
    for name, text in SENDS.items():
        family = CounterMetricFamily(_PREFIX + name, text, labels=["process", *SEND_LABELS])
        for key, messages in found:
            family.add_metric([process, *key], messages)
        yield family


def exposition() -> bytes:
    """The text a Prometheus server reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ThisProcess())
    return generate_latest(registry)
