"""Counters of `rate-limit-by-key`: token buckets, as the v2 tiers of API Management have them.

A bucket holds as many calls as are allowed in a period and is refilled evenly; so a limit can be used up at once, and
then goes on at its rate. Counters are of one process; those of API Management are of one unit, and also not exact.
https://learn.microsoft.com/azure/api-management/api-management-sample-flexible-throttling
"""

from collections import OrderedDict
from math import ceil
from typing import Final

KEYS_MAX: Final = 100_000  # about 25 MB; beyond, the one that was not used for longest begins anew
FULL_DROPPED: Final = 2  # buckets that are full again, with each new one: a flood's leave as fast as they came
_TINY: Final = 1e-9  # what sums of fractions may be wrong by
_WHOLE: Final = 1.0 - _TINY


class RateLimiter:
    """All buckets of a process, by their keys: a key has one counter, wherever it is counted."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._buckets: OrderedDict[str, tuple[float, float, float]] = OrderedDict()  # left, when, until it is full
        self._keys_max = keys_max

    def take(self, key: str, calls: int, period: float, now: float) -> int:
        """Count a call.

        :param period: seconds in which `calls` are allowed
        :param now: seconds, of a clock that never goes back
        :returns: 0, or after how many seconds the call may come again; then it is not counted
        """
        left = self._left(key, calls, period, now)
        if left < _WHOLE:
            return _seconds(left, calls, period)
        buckets = self._buckets
        if key not in buckets:
            self._make_room(now)
        buckets[key] = (left - 1.0, now, now + (calls + 1.0 - left) * period / calls)
        buckets.move_to_end(key)
        return 0

    def wait(self, key: str, calls: int, period: float, now: float) -> int:
        """As `take`, but counts nothing: for calls of which it is known only later whether they count."""
        left = self._left(key, calls, period, now)
        return 0 if left >= _WHOLE else _seconds(left, calls, period)

    def __len__(self) -> int:
        """How many buckets there are."""
        return len(self._buckets)

    def _make_room(self, now: float) -> None:
        """Drop what says nothing any more: a bucket that is full again is as good as none."""
        buckets = self._buckets
        for _ in range(min(FULL_DROPPED, len(buckets))):
            oldest = next(iter(buckets))
            if buckets[oldest][2] > now and len(buckets) < self._keys_max:
                return
            del buckets[oldest]

    def _left(self, key: str, calls: int, period: float, now: float) -> float:
        known = self._buckets.get(key)
        if known is None:
            return float(calls)
        left, at, _ = known
        return min(float(calls), left + (now - at) * calls / period)


def _seconds(left: float, calls: int, period: float) -> int:
    """In how many whole seconds there is a call again."""
    return max(1, ceil((1.0 - left) * period / calls - _TINY))
