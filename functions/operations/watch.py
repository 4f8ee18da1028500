"""How many dead letters there are: looked up at most every few seconds, told by a gauge, a warning and a log line."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from shared.bus.port import BusUnavailable, DeadLetters
from shared.telemetry import Log, gauge

COUNTED_EVERY: Final = timedelta(seconds=5)
_log = Log("operations")


class DeadLetterWatch:
    """Keeps an eye on the dead letters."""

    def __init__(self, bus: DeadLetters) -> None:
        self._bus = bus
        self._counts: Mapping[str, int] = {}
        self._counted_at: datetime | None = None
        self._told: Mapping[str, int] = {}

    async def bus_answers(self, now: datetime) -> bool:
        """Whether the bus answers, with the gauges brought up to date; within `COUNTED_EVERY` it is not asked again."""
        if self._counted_at is not None and self._counted_at <= now < self._counted_at + COUNTED_EVERY:
            return True
        try:
            self._counts = await self._bus.dead_counts()
        except BusUnavailable as error:
            self._counted_at = None
            _log.error("bus_unavailable", error=error)
            return False
        self._counted_at = now
        for queue, number in self._counts.items():
            gauge(f"dead_letters.{queue}", number)
        return True

    def warnings(self) -> Sequence[str]:
        """One sentence, if at the last look there were dead letters; everybody may read it, so it gives no numbers."""
        return ["There are dead letters: see /api/operations/dead-letters."] if any(self._counts.values()) else []

    async def tell_changes(self, now: datetime) -> None:
        """Log a warning when there are other dead letters than at the last telling, so that an alarm can fire.

        That there are none any more is told once, as information; a process that begins with none tells nothing.
        """
        if not await self.bus_answers(now):
            return
        some = {queue: number for queue, number in self._counts.items() if number}
        if some == self._told:
            return
        self._told = some
        if some:
            _log.warning("dead_letters", **self._counts)
        else:
            _log.info("dead_letters_gone")
