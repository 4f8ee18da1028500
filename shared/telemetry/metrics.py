"""Measurements of this process: counters, gauges, durations, and what each use case asks of the store and sends.

They are kept whether or not anything exports them: an exporter and `GET /api/metrics` read them, and adding to one
costs less than a microsecond. Each name is described in `names.py`.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Final, Literal

from shared.telemetry.context import use_case

# Seconds: from a read that a cache answers to a payment that waited for a repair timer.
BUCKETS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_counters: Final[Counter[str]] = Counter()
_gauges: Final[
    dict[str, tuple[int, float]]
] = {}  # each with the moment, by the monotonic clock, until which it is told


type StoreCall = Literal["read", "write", "query"]
type Charged = tuple[str, str, StoreCall]  # the use case, the container, and what was asked of it


@dataclass(slots=True)
class Charge:
    """What calls of the store have cost, since this process began."""

    calls: int = 0
    request_units: float = 0.0


@dataclass(slots=True)
class Histogram:
    """Durations since this process began.

    :param counts: how many fell into each of `BUCKETS`, and last how many were longer than all of them
    :param seconds: their sum
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    @property
    def number(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def cumulative(self) -> Sequence[int]:
        """How many were at most as long as each of `BUCKETS`, and last how many there were."""
        found, running = [], 0
        for count_ in self.counts:
            running += count_
            found.append(running)
        return found


_charges: Final[dict[Charged, Charge]] = {}
_sends: Final[Counter[tuple[str, str]]] = Counter()
_histograms: Final[dict[tuple[str, ...], Histogram]] = {}


def count(name: str, by: int = 1) -> None:
    """Add to a counter of this process; names end in what they count (`inventory_violations`)."""
    _counters[name] += by


def counters() -> dict[str, int]:
    """All counters of this process, by name."""
    return dict(_counters)


def gauge(name: str, value: int, *, valid_seconds: float = inf) -> None:
    """Keep the newest value of what goes up and down; the part after a dot says of what (`dead_letters.stock`).

    :param valid_seconds: how long it is told unless a newer one comes
    """
    _gauges[name] = (value, monotonic() + valid_seconds)


def gauges() -> dict[str, int]:
    """The newest value of every gauge, as this process knows it, by name."""
    now = monotonic()
    return {name: value for name, (value, until) in list(_gauges.items()) if now < until}


def observe(name: str, seconds: float, *labels: str) -> None:
    """Add a duration to a histogram of this process.

    :param name: ends in `_seconds`
    :param labels: values of the labels `names.HISTOGRAMS` has for it, each from a small closed set
    """
    key = (name, *labels)
    histogram = _histograms.get(key)
    if histogram is None:
        histogram = _histograms[key] = Histogram()
    histogram.counts[bisect_left(BUCKETS, seconds)] += 1
    histogram.seconds += seconds


def histograms() -> dict[tuple[str, ...], Histogram]:
    """A copy of every histogram of this process, by name and label values."""
    # `list` copies in one step, as other threads read while this one adds.
    return {key: Histogram(list(each.counts), each.seconds) for key, each in list(_histograms.items())}


def charge(container: str, kind: StoreCall, request_units: float = 0.0) -> None:
    """Add one call of the store to what the present `use_case` asked of a container.

    :param request_units: what the store charged for it, the tries of it included
    """
    key = (use_case.get(), container, kind)
    total = _charges.get(key)
    if total is None:
        total = _charges[key] = Charge()
    total.calls += 1
    total.request_units += request_units


def charges() -> dict[Charged, Charge]:
    """The running totals of this process."""
    return {key: Charge(total.calls, total.request_units) for key, total in list(_charges.items())}


def sent_to(destination: str, messages: int) -> None:
    """Add messages that the present `use_case` sent to a topic or a queue, and that were taken."""
    _sends[(use_case.get(), destination)] += messages


def sends() -> dict[tuple[str, str], int]:
    """How many messages were sent, by use case and destination, since this process began."""
    return dict(_sends)
