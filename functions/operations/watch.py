"""How many dead letters there are, counted by a timer and for who looks; told by gauge, warning, log line."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from shared.bus.port import BusUnavailable, DeadLetters, MessageRefused
from shared.telemetry import Log, gauge, gauges

GAUGE: Final = "dead_letters."
# Three runs of the timer, which on Azure one process of all has: what another once counted must not be told for ever.
VALID_SECONDS: Final = 180.0
_log = Log("operations")


def counted(counts: Mapping[str, int]) -> None:
    """Keep what the bus said of its dead letters just now.

    :param counts: by queue
    """
    for queue, number in counts.items():
        gauge(f"dead_letters.{queue}", number, valid_seconds=VALID_SECONDS)


def dead_letter_warnings() -> Sequence[str]:
    """One sentence, if there were some when they were last counted; everybody may read it, so it gives no numbers."""
    some = any(value for name, value in gauges().items() if name.startswith(GAUGE))
    return ["There are dead letters: see /api/operations/dead-letters."] if some else []


class DeadLetterWatch:
    """Keeps an eye on the dead letters, for a timer."""

    def __init__(self, bus: DeadLetters) -> None:
        self._bus = bus
        self._told: Mapping[str, int] = {}

    async def tell_changes(self, _: datetime) -> None:
        """Log a warning when there are other dead letters than at the last telling, so that an alarm can fire.

        That there are none any more is told once, as information; a process that begins with none tells nothing. Where
        the bus does not answer, that is logged, and the next run asks again.
        """
        try:
            counts = await self._bus.dead_counts()
        except (BusUnavailable, MessageRefused) as error:
            _log.error("bus_unavailable", error=error)
            return
        counted(counts)
        some = {queue: number for queue, number in counts.items() if number}
        if some == self._told:
            return
        self._told = some
        if some:
            _log.warning("dead_letters", **counts)
        else:
            _log.info("dead_letters_gone")
