"""A directory behind a circuit breaker."""

from collections.abc import Awaitable, Callable

from shared.breaker import OPEN_SECONDS, Breaker, BreakerOpen
from shared.directory.port import (
    Creation,
    Directory,
    DirectoryBusy,
    DirectoryUnavailable,
    DirectoryUser,
    UserPage,
)
from shared.telemetry import span


class GuardedDirectory:
    """Asks `inner` unless it has not answered lately: then whoever asks is told at once.

    What the directory refuses, or will not do just now, it has answered. That it turns our credential down is no answer
    to what was asked, and opens the breaker: asking more often would not change it.
    """

    def __init__(self, inner: Directory, breaker: Breaker | None = None) -> None:
        self._inner = inner
        self._breaker = breaker or Breaker("directory", failure=DirectoryUnavailable, answer=DirectoryBusy)

    async def find(self, text: str, *, limit: int, continuation: str | None = None) -> UserPage:
        """See `Directory.find`."""
        return await self._asked("find users", lambda: self._inner.find(text, limit=limit, continuation=continuation))

    async def get(self, user_id: str) -> DirectoryUser:
        """See `Directory.get`."""
        return await self._asked("read user", lambda: self._inner.get(user_id))

    async def create(self, *, email: str, name: str) -> Creation:
        """See `Directory.create`."""
        return await self._asked("create user", lambda: self._inner.create(email=email, name=name))

    async def change(self, user_id: str, *, name: str) -> None:
        """See `Directory.change`."""
        await self._asked("change user", lambda: self._inner.change(user_id, name=name))

    async def disable(self, user_id: str) -> None:
        """See `Directory.disable`."""
        await self._asked("disable user", lambda: self._inner.disable(user_id))

    async def enable(self, user_id: str) -> None:
        """See `Directory.enable`."""
        await self._asked("enable user", lambda: self._inner.enable(user_id))

    async def delete(self, user_id: str) -> None:
        """See `Directory.delete`."""
        await self._asked("delete user", lambda: self._inner.delete(user_id))

    async def revoke_sessions(self, user_id: str) -> None:
        """See `Directory.revoke_sessions`."""
        await self._asked("revoke sessions", lambda: self._inner.revoke_sessions(user_id))

    async def _asked[T](self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            with span(what, component="Directory"):
                return await self._breaker.call(ask)
        except BreakerOpen as closed:
            unavailable = DirectoryUnavailable("The directory has not answered lately; try again shortly.")
            unavailable.retry_after_seconds = OPEN_SECONDS
            raise unavailable from closed
