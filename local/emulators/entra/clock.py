"""The time as the provider sees it, which tests may move forward to meet what expires."""

import time


class Clock:
    """The machine's time, plus what it was moved by; a restart forgets that."""

    def __init__(self) -> None:
        self._moved_seconds = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._moved_seconds

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        self._moved_seconds += seconds
