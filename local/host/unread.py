"""Answers that nobody reads: they are kept for a client only as long as it takes something of them."""

import asyncio
import logging
import socket
import struct

from local.host.limits import ANSWER_SECONDS

log = logging.getLogger("local.host.http")


class UnreadAnswer:
    """Watches what waits to be taken by one client."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Something waits."""
        if self._timer is None:
            self._timer = self._loop.call_later(ANSWER_SECONDS, self._look, self._transport.get_write_buffer_size())

    def stop(self) -> None:
        """Nothing waits any more, or the client is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reset(self) -> None:
        """End with RST: after an orderly end the kernel would go on holding the answer."""
        held = self._transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _look(self, before: int) -> None:
        self._timer = None
        waiting = self._transport.get_write_buffer_size()
        if waiting and waiting >= before:
            log.info("A client did not read its answer", extra={"bytes": waiting})
            self.reset()
        elif waiting:
            self.watch()
