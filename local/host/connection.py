"""A client's connection: uvicorn's, with what it lacks against clients that are slow, flood us, or lie.

uvicorn parses (llhttp) and answers. It has no limit on heads, no time for head, body or unread answers, takes trailers
for headers, and drops the answer of a client that has closed its sending side. Each refusal is a problem document, sent
once nothing else is being answered; what the client still sends is then read and dropped for a while, since closing on
unread bytes resets the connection, and the client would never see the answer.
"""

import asyncio
import logging
import socket
import struct
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from local.host.limits import (
    ANSWER_SECONDS,
    BODY_BYTES_PER_SECOND,
    BODY_GRACE_SECONDS,
    HEAD_BYTES_MAX,
    HEAD_SECONDS,
    HEADERS_MAX,
    LINGER_SECONDS,
    TARGET_BYTES_MAX,
    connections_max,
)
from local.host.problems import CORRELATION_HEADER, correlation_id_of, problem

log = logging.getLogger("local.host.http")

_CORRELATION: Final = CORRELATION_HEADER.encode()
_ANNOUNCE_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_UNREADABLE: Final = (400, "This is not a request of HTTP/1.1 or 1.0.")


class _Refused(Exception):
    """The head breaks a limit: raised inside the parser, which wraps it."""


class Connection(HttpToolsProtocol):
    """One connection; uvicorn makes them."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._in_head = False
        self._in_body = False
        self._head_bytes = 0
        self._fields = 0
        self._hosts = 0
        self._refusal = _UNREADABLE
        self._ended = False  # nothing more is read from this client
        self._body_bytes = 0
        self._body_began = 0.0
        self._timer: asyncio.TimerHandle | None = None  # for what we wait for: a head, a body, the end of one
        self._waiting_for = ""
        self._unread_timer: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None  # the first that is not answered; `cycle` is the last read

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the client in, if there is room."""
        super().connection_made(transport)
        most = connections_max()
        if len(self.connections) > most:
            if len(self.connections) == most + 1:
                log.warning("A client was turned away: %d connections are open", most)
            self._ended = True
            transport.abort()
            return
        self._wait_for("head", HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; a function that runs for it runs to its end, and what waited behind it is not begun."""
        self._wait_for("")
        self.pipeline.clear()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        self._stop_watching_answer()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's returns nothing, which closes
        """The client sends no more: what it asked for whole is still answered, what is not whole is dropped."""
        running = self._running()
        if self._ended or self._in_body or running is None:
            return False
        self._ended = True
        running.keep_alive = False
        self._wait_for("")
        return True

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the limits."""
        if self._ended:
            return
        self._unset_keepalive_if_required()
        began_before = self._in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(*self._refusal)
            return
        except httptools.HttpParserUpgrade:
            self._no_upgrade()
            return
        if self._in_head and began_before:
            # Headers are counted when they are whole; this bounds the one that never is.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(431, f"The headers exceed {HEAD_BYTES_MAX} bytes.")
                return
        self._watch()

    # --- the parser's findings

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._fields = self._hosts = 0

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        super().on_url(url)
        if len(self.url) > TARGET_BYTES_MAX:
            self._break_off(414, f"Path and query exceed {TARGET_BYTES_MAX} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is dropped: it could say afterwards what the headers did not (RFC 9110 6.5.1).

        :raises _Refused: there are too many, or they are too long
        """
        self._fields += 1
        self._head_bytes += len(name) + len(value)
        if self._fields > HEADERS_MAX:
            self._break_off(431, f"There are more than {HEADERS_MAX} headers.")
        if self._head_bytes > HEAD_BYTES_MAX:
            self._break_off(431, f"The headers exceed {HEAD_BYTES_MAX} bytes.")
        if not self._in_head:
            return
        super().on_header(name, value)
        if len(name) == 4 and name.lower() == b"host":
            self._hosts += 1

    def on_headers_complete(self) -> None:
        """The head is whole; the request is handed on.

        :raises _Refused: it does not name exactly one host, as HTTP/1.1 requests must (RFC 9112 section 3.2); or its
            body would be lost, since the parser takes it for the protocol it asks to change to
        """
        if self.parser.should_upgrade() and any(name in _ANNOUNCE_BODY for name, _ in self.headers):
            self._break_off(400, "Send a request with a body without Upgrade: only HTTP/1.1 is spoken here.")
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            self._break_off(400, "Send one Host header.")
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._head_bytes = self._fields = 0  # counted anew for the trailers
        self._body_bytes, self._body_began = 0, self.loop.time()
        self._wait_for("")

    def on_body(self, body: bytes) -> None:
        """Part of the body; what is left of it after the answer is dropped."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        super().on_message_complete()
        if self.cycle.response_complete:  # answered before it was whole; now the connection is as good as any
            self._wait_for("")
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """The answer is written, which is not to say that the client reads it, or that its request is whole."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._watch_answer()
        if self._in_body and self.cycle.response_complete and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            if self.expect_100_continue:
                self._end()  # whether the body will come, or the next request in its place, nobody can tell
            else:
                self._wait_for("end", LINGER_SECONDS)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    # --- time

    def _watch(self) -> None:
        """After every arrival: whatever is begun and not whole has its time."""
        if self._in_body:
            if not self._waiting_for:
                self._wait_for("body", BODY_GRACE_SECONDS)
        elif self._in_head or (self._running() is None and self.timeout_keep_alive_task is None):
            if self._waiting_for != "head":
                self._wait_for("head", HEAD_SECONDS)
        elif self._waiting_for:
            self._wait_for("")

    def _wait_for(self, what: str, seconds: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting_for = what
        if what:
            self._timer = self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._timer = None
        if self._waiting_for == "body":
            self._body_late()
        elif self._waiting_for == "head" and (self._in_head or self.headers is not None):
            self._refuse(408, f"The headers were not whole after {HEAD_SECONDS:.0f} seconds.")
        else:  # it never asked for anything, or it was answered and goes on sending
            self.transport.abort()

    def _body_late(self) -> None:
        if self.flow.read_paused:  # by us: the client may not send
            self._body_began = self.loop.time() - self._body_bytes / BODY_BYTES_PER_SECOND
        left = self._body_began + BODY_GRACE_SECONDS + self._body_bytes / BODY_BYTES_PER_SECOND - self.loop.time()
        if left > 0:
            self._wait_for("body", left)
        else:
            rate = f"{BODY_BYTES_PER_SECOND} bytes a second after {BODY_GRACE_SECONDS:.0f} seconds"
            self._refuse(408, f"The body came slower than {rate}.")

    # --- answers nobody reads

    def pause_writing(self) -> None:
        """The client does not read: the answer waits."""
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._stop_watching_answer()

    def timeout_keep_alive_handler(self) -> None:
        """Close the idle connection."""
        if self.transport.get_write_buffer_size():
            self._reset()
        else:
            super().timeout_keep_alive_handler()

    def _watch_answer(self) -> None:
        if self._unread_timer is None:
            waiting = self.transport.get_write_buffer_size()
            self._unread_timer = self.loop.call_later(ANSWER_SECONDS, self._unread, waiting)

    def _stop_watching_answer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _unread(self, before: int) -> None:
        self._unread_timer = None
        waiting = self.transport.get_write_buffer_size()
        if waiting and waiting >= before:
            log.info("A client did not read its answer", extra={"bytes": waiting})
            self._reset()
        elif waiting:
            self._watch_answer()

    def _reset(self) -> None:
        """End with RST: an orderly end would have the kernel hold the answer for who does not read it."""
        held = self.transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # --- refusing

    def _break_off(self, status: int, detail: str) -> None:
        self._refusal = (status, detail)
        raise _Refused

    def _no_upgrade(self) -> None:
        """We speak HTTP/1.1 alone: the request is answered as if it had not asked; what follows it cannot be read."""
        self._ended = True
        running = self._running()
        if running is None:
            self.transport.close()
        else:
            running.keep_alive = False

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with a problem and end; what was asked before on this connection is answered first."""
        log.info("Refused by the front: %s", detail, extra={"status": status})
        running = self._running()
        if running is not None and not self._in_body:  # an earlier request, whole: its answer is the last one
            self._ended = True
            running.keep_alive = False
            self._wait_for("")
        elif self.pipeline and self._answering is not None:  # half of a request, behind others
            self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else self._answering
            self._ended = True
            last.keep_alive = False
            self._wait_for("")
        elif self._in_body and (running is None or running.response_started):
            self.transport.abort()  # answered already, or an answer is being written that this one would cut
        else:
            if running is not None:  # it waits for the rest of its body
                running.disconnected = True
                running.message_event.set()
            self.transport.write(_written(status, detail, self._correlation_id()))
            self._end()

    def _end(self) -> None:
        """Send no more, and drop what comes for a while."""
        self._ended = True
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self.transport.write_eof()
        self._wait_for("end", LINGER_SECONDS)

    def _running(self) -> RequestResponseCycle | None:
        """The last request on this connection that is not answered yet."""
        last: RequestResponseCycle | None = self.cycle  # which uvicorn says is always there
        return None if last is None or last.response_complete else last

    def _correlation_id(self) -> str:
        headers: list[tuple[bytes, bytes]] | None = self.headers
        given = next((value for name, value in headers or () if name == _CORRELATION), b"")
        return correlation_id_of({CORRELATION_HEADER: given.decode("latin-1")})


def _written(status: int, detail: str, correlation_id: str) -> bytes:
    """A whole answer, after which the connection ends."""
    _, headers, body = problem(status, detail, correlation_id, [(b"connection", b"close")])
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, HTTPStatus(status).phrase.encode("ascii"), lines, body)
