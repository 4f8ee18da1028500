"""The response cache of `cache-lookup` and `cache-store`: bounded, in memory, of one process."""

from collections import OrderedDict
from typing import Final

from local.host.problems import Header

ENTRIES_MAX: Final = 1_000
BODY_BYTES_MAX: Final = 256 * 1024  # a larger answer is not kept
BYTES_MAX: Final = 32 * 1024 * 1024

type Kept = tuple[list[Header], bytes]


class ResponseCache:
    """Answers with status 200, by what they vary by; the one that was not asked for longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], tuple[float, Kept]] = OrderedDict()
        self._bytes = 0

    def find(self, key: tuple[object, ...], now: float) -> Kept | None:
        """The answer, unless its time is over."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        until, kept = entry
        if now >= until:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def keep(self, key: tuple[object, ...], kept: Kept, *, until: float) -> None:
        """Keep an answer."""
        if len(kept[1]) > BODY_BYTES_MAX:
            return
        self._drop(key)
        self._kept[key] = (until, kept)
        self._bytes += len(kept[1])
        while len(self._kept) > ENTRIES_MAX or self._bytes > BYTES_MAX:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[object, ...]) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry[1][1])
