"""Connections to a mail server between two mails: few, not for long, and for a bounded number of mails each."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.telemetry import Log, count

if TYPE_CHECKING:
    import aiosmtplib

CONNECTIONS_MAX: Final = 8
MAILS_MAX: Final = 100  # on one connection: servers cut those that go on for ever
IDLE_SECONDS_MAX: Final = 20.0  # servers wait minutes (RFC 5321 section 4.5.3.2.7); balancers before them less
GOODBYE_SECONDS_MAX: Final = 5.0
_log = Log("mail")


@dataclass(slots=True)
class Kept:
    """An open connection.

    :param mails: it has carried
    :param since: when it was last used, by the event loop's clock in seconds
    """

    client: "aiosmtplib.SMTP"
    mails: int = 0
    since: float = 0.0


class Connections:
    """Those not in use just now, the longest idle first."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)
        self._idle: list[Kept] = []
        self._tending: asyncio.Task[None] | None = None

    def turn(self) -> asyncio.Semaphore:
        """The right to use a connection, for an `async with`."""
        return self._turns

    async def take(self) -> Kept | None:
        """The one used last, if there is any that did not carry enough."""
        while self._idle:
            kept = self._idle.pop()
            if kept.mails < MAILS_MAX:
                return kept
            await _leave(kept)
        return None

    def keep(self, kept: Kept) -> None:
        """Have it back after a mail."""
        kept.mails += 1
        kept.since = asyncio.get_running_loop().time()
        self._idle.append(kept)
        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(self._tend())

    def lost(self, error: Exception) -> None:
        """One turned out to be dead; the others, which have been idle for longer, are not asked."""
        count("mail_connections_lost")
        _log.info("mail_connection_lost", reason=repr(error))
        self._close_all()

    async def close(self) -> None:
        """Close all; for a process or a test that ends."""
        if self._tending is not None:
            self._tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tending

    async def _tend(self) -> None:
        """Say goodbye on connections that wait too long, while there are any; cancelled, close all."""
        clock = asyncio.get_running_loop().time
        try:
            while self._idle:
                if (rest := self._idle[0].since + IDLE_SECONDS_MAX - clock()) > 0:
                    await asyncio.sleep(rest)
                else:
                    await _leave(self._idle.pop(0))
        finally:
            self._close_all()

    def _close_all(self) -> None:
        for kept in self._idle:
            kept.client.close()
        self._idle.clear()


async def _leave(kept: Kept) -> None:
    import aiosmtplib

    try:
        await kept.client.quit(timeout=GOODBYE_SECONDS_MAX)
    except (aiosmtplib.SMTPException, OSError) as error:
        _log.info("mail_connection_lost", reason=repr(error))
    finally:
        kept.client.close()
