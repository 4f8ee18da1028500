"""Waking those who wait for something new in a database, whichever process wrote it."""

import asyncio
import sqlite3
from collections.abc import Callable

POLL_SECONDS = 0.025  # how late another process's commit may be noticed


class Watch:
    """Waiters of one event loop, woken by a local commit at once and by another process's within `POLL_SECONDS`.

    No wake-up is lost if the caller looks for work and, finding none, waits without awaiting anything in between.

    :param changed: says whether there is news since it last said so; cheap, called 40 times a second while anyone waits
    """

    def __init__(self, changed: Callable[[], bool]) -> None:
        self._changed = changed
        self._waiters: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poll: asyncio.TimerHandle | None = None

    async def wait(self, timeout_seconds: float) -> None:
        """Return when there is news, or after the timeout."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the waiters of a finished loop are gone with it
            self._loop, self._poll = loop, None
            self._waiters.clear()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.add(waiter)
        alarm = loop.call_later(timeout_seconds, _release, waiter)
        self.look()
        if self._poll is None:
            self._poll = loop.call_later(POLL_SECONDS, self._look_again)
        try:
            await waiter
        finally:
            alarm.cancel()
            self._waiters.discard(waiter)

    def look(self) -> None:
        """Wake everyone if there is news."""
        try:
            news = self._changed()
        except sqlite3.Error:
            news = True  # those who wait will read, and their own read reports what is wrong
        if news:
            for waiter in self._waiters:
                _release(waiter)

    def close(self) -> None:
        """Wake everyone and stop polling."""
        if self._poll is not None and self._loop is not None and not self._loop.is_closed():
            self._poll.cancel()
            for waiter in self._waiters:
                _release(waiter)
        self._poll = None

    def _look_again(self) -> None:
        self._poll = None
        self.look()
        if self._waiters and self._loop is not None:
            self._poll = self._loop.call_later(POLL_SECONDS, self._look_again)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
