"""Listening on loopback, saying so in one line, and ending promptly when told to."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LOOPBACK = "127.0.0.1"
_BACKLOG = 2048
_LAST_REQUESTS_SECONDS = 2  # what is still running after SIGTERM gets this long
_START_POLL_SECONDS = 0.005


class PortUnavailable(OSError):
    """A port that cannot be listened on, with its number."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a server's certificate chain and its private key."""

    certificate: Path
    key: Path


def bind_loopback(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes any free one.

    :raises PortUnavailable: the port is taken, or only for the system's own services
    """
    # The protocol is named because asyncio sets TCP_NODELAY only where it is; without, each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise PortUnavailable(f"port {port} on {LOOPBACK}: {error.strerror}") from error
    listener.listen(_BACKLOG)
    return listener


def address_of(listener: socket.socket, scheme: str = "http") -> str:
    """The address clients use, e.g. `http://127.0.0.1:4242`."""
    return f"{scheme}://{LOOPBACK}:{listener.getsockname()[1]}"


def serve(app: ASGIApp, listener: socket.socket, *, announcement: str, tls: Tls | None = None) -> None:
    """Serve `app` until SIGTERM or SIGINT, printing `announcement` once it can be reached."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(_config(app, tls), announcement).serve(sockets=[listener]))


@asynccontextmanager
async def served(app: ASGIApp, *, tls: Tls | None = None, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """`app` served by the running event loop on `listener` or a free port, as long as the block lasts; its address."""
    listener = listener or bind_loopback(0)
    server = _Guest(_config(app, tls))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if serving.done():
                serving.result()
                raise RuntimeError("The server ended before it had begun.")
            await asyncio.sleep(_START_POLL_SECONDS)
        yield address_of(listener, "http" if tls is None else "https")
    finally:
        server.over.set()
        await serving
        listener.close()


def _config(app: ASGIApp, tls: Tls | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=_BreakableProtocol,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody is in front, and who asks must not choose the address it is counted under
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )


async def break_connection(scope: Scope, receive: Receive) -> None:
    """Reset the connection of a request: its client sees neither an answer nor an orderly end."""
    transport: asyncio.Transport = scope["extensions"]["emulator.transport"]
    raw = transport.get_extra_info("socket")
    if raw is not None:
        # Linger with no time turns the close into a reset, as a crashed server's would be.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


class _BreakableProtocol(HttpToolsProtocol):
    """Hands the transport to the application, which ASGI does not, so that faults can cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"emulator.transport": self.transport}  # type: ignore[dict-item]  # an extension of ours


class _Guest(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = asyncio.Event()

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether it is over; a guest is told."""
        await self.on_tick(0)
        await self.over.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: they belong to the process it is a guest in."""
        yield


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            print(self._announcement, flush=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again at the end: having stopped as asked, exit with 0."""
        before = {wanted: signal.signal(wanted, self.handle_exit) for wanted in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for wanted, handler in before.items():
                signal.signal(wanted, handler)
