"""How everything that runs for ever is asked to stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

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


async def keep_doing(what: str, step: Callable[[], Awaitable[None]], stop: Stop) -> None:
    """Repeat `step` until a stop is requested; an error is logged and followed by a pause, never by the end."""
    while not stop.requested:
        try:
            await step()
        except Exception:
            log.exception("%s: trouble, trying again", what)
            await stop.sleep(_PAUSE_AFTER_ERROR_SECONDS)
