"""A connection: signing in, the frames of its sessions, and an orderly end with a reason when a client errs."""

import asyncio
import contextlib
import logging
import uuid
from datetime import datetime
from typing import Final

from local.emulators.servicebus.attaching import attach_link
from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.frames import (
    AMQP,
    AMQP_HEADER,
    FRAME_BYTES_MAX,
    SASL,
    SASL_HEADER,
    Frame,
    frame_of,
    read_frame,
    read_header,
)
from local.emulators.servicebus.performatives import (
    AmqpError,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Transfer,
)
from local.emulators.servicebus.session import WINDOW, Session
from local.emulators.servicebus.values import Array, Malformed, Symbol

log = logging.getLogger("local.emulators.servicebus")

# https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
CONNECTIONS_MAX: Final = 5_000
SESSIONS_MAX: Final = 64
_HANDSHAKE_SECONDS: Final = 30.0
_WRITE_SECONDS: Final = 30.0  # a client that takes nothing for so long is cut off
_FRAME_BYTES_LEAST: Final = 512  # AMQP, 2.7.1
_MECHANISMS: Final = ("ANONYMOUS", "MSSBCBS", "EXTERNAL")  # the token comes later, on $cbs


class Connection:
    """Serves one client until it leaves.

    :param reader: what it sends
    :param writer: what it is sent
    """

    def __init__(self, broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._broker = broker
        self._reader = reader
        self._writer = writer
        self._sessions: dict[int, Session] = {}
        self._ended: set[int] = set()
        self._frame_bytes = FRAME_BYTES_MAX
        self.grants: dict[str, datetime] = {}

    def drop(self) -> None:
        """Cut the connection without a word."""
        transport = self._writer.transport
        transport.abort()

    async def serve(self) -> None:
        """Serve the client; returns when it is gone."""
        if self._broker.refusing or len(self._broker.connections) >= CONNECTIONS_MAX:
            self.drop()
            return
        self._broker.connections.add(self)
        try:
            async with asyncio.timeout(_HANDSHAKE_SECONDS):
                await self._sign_in()
            while await self._next():
                pass
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # the client is gone, or takes nothing: its locks lapse by themselves
        finally:
            self._broker.connections.discard(self)
            for session in self._sessions.values():
                await session.end()
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _sign_in(self) -> None:
        try:
            header = await read_header(self._reader)
            if header == SASL_HEADER:
                await self._sasl()
                header = await read_header(self._reader)
        except Malformed:
            header = b""
        # AMQP, 2.2: the version spoken here is written; to one who speaks another, nothing else is.
        self._writer.write(AMQP_HEADER)
        await self._writer.drain()
        if header != AMQP_HEADER:
            raise ConnectionResetError

    async def _sasl(self) -> None:
        mechanisms = SaslMechanisms(Array(Symbol(each) for each in _MECHANISMS))
        self._writer.write(SASL_HEADER + frame_of(0, mechanisms, type_=SASL))
        frame = await read_frame(self._reader)
        if frame.type != SASL or not isinstance(frame.body, SaslInit):
            raise Malformed("A client that signs in sends its mechanism.")
        good = frame.body.mechanism in _MECHANISMS
        self._writer.write(frame_of(0, SaslOutcome(0 if good else 1), type_=SASL))
        await self._writer.drain()
        if not good:
            raise ConnectionResetError

    async def _next(self) -> bool:
        """Read and handle one frame; False when the connection is over."""
        try:
            frame = await read_frame(self._reader)
            return frame.body is None or await self._handle(frame, frame.body)
        except Malformed as error:
            await self._close(AmqpError("amqp:decode-error", str(error)))
        except AmqpError as error:
            await self._close(error)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("A frame could not be handled")
            await self._close(AmqpError("amqp:internal-error", "The emulator failed; its log says why."))
        return False

    async def _handle(self, frame: Frame, body: Performative) -> bool:
        if frame.type != AMQP:
            raise AmqpError("amqp:connection:framing-error", "Signing in is over.")
        if isinstance(body, Open):
            await self._open(body)
        elif isinstance(body, Close):
            await self._write(0, Close(), b"")
            return False
        elif isinstance(body, Begin):
            await self._begin(frame.channel, body)
        elif frame.channel in self._sessions:
            await self._in_session(frame, body, self._sessions[frame.channel])
        elif frame.channel not in self._ended:  # the SDK detaches its links after it has ended their session
            raise AmqpError("amqp:not-allowed", f"Channel {frame.channel} has no session.")
        return True

    async def _open(self, asked: Open) -> None:
        if asked.max_frame_size < _FRAME_BYTES_LEAST:
            raise AmqpError("amqp:invalid-field", f"Frames have at least {_FRAME_BYTES_LEAST} bytes.")
        self._frame_bytes = min(asked.max_frame_size, FRAME_BYTES_MAX)
        answer = Open(container_id=uuid.uuid4().hex, max_frame_size=FRAME_BYTES_MAX, channel_max=SESSIONS_MAX - 1)
        await self._write(0, answer, b"")

    async def _begin(self, channel: int, asked: Begin) -> None:
        if channel in self._sessions or len(self._sessions) >= SESSIONS_MAX:
            raise AmqpError("amqp:not-allowed", f"Channel {channel} cannot begin a session.")

        async def write(body: Performative, payload: bytes) -> None:
            await self._write(channel, body, payload)

        session = Session(self._broker, asked, write=write, drop=self.drop, frame_bytes=self._frame_bytes)
        self._sessions[channel] = session
        self._ended.discard(channel)
        begun = Begin(remote_channel=channel, incoming_window=WINDOW, outgoing_window=WINDOW, handle_max=255)
        await self._write(channel, begun, b"")

    async def _in_session(self, frame: Frame, body: Performative, session: Session) -> None:
        match body:
            case Transfer():
                await session.take_transfer(body, frame.payload)
            case Flow():
                await session.take_flow(body)
            case Disposition():
                await session.take_disposition(body)
            case Attach():
                await attach_link(session, body, self.grants)
            case Detach():
                await session.detach(body)
            case End():
                await session.end()
                del self._sessions[frame.channel]
                self._ended.add(frame.channel)
                await self._write(frame.channel, End(), b"")
            case _:
                raise AmqpError("amqp:not-allowed", f"A {type(body).__name__} has no place in a session.")

    async def _close(self, error: AmqpError) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._write(0, Close(error.described()), b"")

    async def _write(self, channel: int, body: Performative, payload: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError
        self._writer.write(frame_of(channel, body, payload))
        async with asyncio.timeout(_WRITE_SECONDS):
            await self._writer.drain()
