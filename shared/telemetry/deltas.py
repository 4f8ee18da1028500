"""What was measured since the last look, for exporters that are told of changes and not of totals.

What `names.py` does not describe is left out and counted: one odd name must not cost the others their minute.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared.telemetry.metrics import Charge, Charged, Histogram, charges, count, counters, gauges, histograms
from shared.telemetry.names import CHARGE_LABELS, GAUGES, HISTOGRAMS

LEFT_OUT: Final = "telemetry_left_out"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A metric of one interval.

    :param value: the sum of what was measured
    :param number: how many were measured; 1 for a counter's growth and for a gauge
    """

    name: str
    value: float
    number: int
    at: datetime
    properties: Mapping[str, str]


class Deltas:
    """Remembers what was told last."""

    def __init__(self) -> None:
        self._counters: Mapping[str, int] = {}
        self._histograms: Mapping[tuple[str, ...], Histogram] = {}
        self._charges: Mapping[Charged, Charge] = {}

    def since_last(self) -> list[Measurement]:
        """Counters that grew, durations that were observed, what was asked of the store, and every gauge as it is."""
        now = datetime.now(UTC)
        return [*self._counted(now), *self._observed(now), *self._charged(now), *_gauged(now)]

    def _counted(self, now: datetime) -> Iterator[Measurement]:
        before, self._counters = self._counters, counters()
        for name, total in self._counters.items():
            if grown := total - before.get(name, 0):
                yield Measurement(name, grown, 1, now, {})

    def _observed(self, now: datetime) -> Iterator[Measurement]:
        before, self._histograms = self._histograms, histograms()
        for key, total in self._histograms.items():
            last = before.get(key, Histogram())
            if number := total.number - last.number:
                described = HISTOGRAMS.get(key[0])
                if described is None or len(described[0]) != len(key) - 1:
                    count(LEFT_OUT)
                    continue
                told = dict(zip(described[0], key[1:], strict=True))
                yield Measurement(key[0], total.seconds - last.seconds, number, now, told)

    def _charged(self, now: datetime) -> Iterator[Measurement]:
        before, self._charges = self._charges, charges()
        for key, total in self._charges.items():
            last = before.get(key, Charge())
            if calls := total.calls - last.calls:
                units = total.request_units - last.request_units
                told = dict(zip(CHARGE_LABELS, key, strict=True))
                yield Measurement("request_units", units, calls, now, told)


def _gauged(now: datetime) -> Iterator[Measurement]:
    for key, value in gauges().items():
        name, _, of = key.partition(".")
        if name not in GAUGES:
            count(LEFT_OUT)
            continue
        yield Measurement(name, value, 1, now, {GAUGES[name][0]: of})
