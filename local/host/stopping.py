"""How everything that runs for ever is asked to stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

log = logging.getLogger("local.host")

_PAUSE_AFTER_ERROR_SECONDS = 1.0


class Stop:
    """One request to stop, seen by all pumps of a process."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def request(self) -> None:
        """Ask; asking again changes nothing."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Return once a stop was requested."""
        await self._event.wait()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or at once when a stop is requested."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            return

    async def or_until(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Return when `waiting` ends or a stop is requested; its error, if any, is raised."""
        tasks = (asyncio.ensure_future(waiting), asyncio.ensure_future(self._event.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]


async def keep_doing(what: str, step: Callable[[], Awaitable[None]], stop: Stop) -> None:
    """Repeat `step` until a stop is requested; an error is logged and followed by a pause, never by the end."""
    while not stop.requested:
        try:
            await step()
        except Exception:
            log.exception("%s: trouble, trying again", what)
            await stop.sleep(_PAUSE_AFTER_ERROR_SECONDS)
