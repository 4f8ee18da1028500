"""A client's connection: uvicorn's, with what it lacks against clients that are slow, flood us, or lie.

uvicorn parses (llhttp) and answers. It has no limit on heads, no time for head, body or unread answers, takes trailers
for headers, and drops the answer of a client that has closed its sending side. Each refusal is a problem document, sent
once nothing else is being answered; what the client still sends is then read and dropped for a while, since closing on
unread bytes resets the connection, and the client would never see the answer.
"""

import asyncio
import logging
from typing import Any, ClassVar, Final

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from local.host.answering import CYCLE
from local.host.head import HeadMeter, HeadRefused
from local.host.limits import (
    BODY_BYTES_PER_SECOND,
    BODY_GRACE_SECONDS,
    HEAD_SECONDS,
    LINGER_SECONDS,
    TELL_SECONDS,
    connections_max,
)
from local.host.problems import CORRELATION_HEADER, correlation_id_of, written
from local.host.unread import UnreadAnswer

log = logging.getLogger("local.host.http")

_CORRELATION: Final = CORRELATION_HEADER.encode()
_UNREADABLE: Final = (400, "This is not a request of HTTP/1.1 or 1.0.")


class Connection(HttpToolsProtocol):
    """One connection; uvicorn makes them.

    :param told_at: when it was last logged that clients are turned away
    """

    told_at: ClassVar[float] = float("-inf")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._in_head = False
        self._in_body = False
        self._head = HeadMeter()
        self._ended = False  # nothing more is read from this client
        self._body_bytes = 0
        self._body_began = 0.0
        self._timer: asyncio.TimerHandle | None = None  # for what we wait for: a head, a body, the end of one
        self._waiting_for = ""
        self._unread: UnreadAnswer
        self._answering: RequestResponseCycle | None = None  # the first that is not answered; `cycle` is the last read

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the client in, if there is room."""
        super().connection_made(transport)
        self._unread = UnreadAnswer(self.loop, transport)
        most = connections_max()
        if len(self.connections) > most:
            if self.loop.time() > Connection.told_at + TELL_SECONDS:
                Connection.told_at = self.loop.time()
                log.warning("Clients are turned away: %d connections are open", most)
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
        self._unread.stop()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's returns nothing, which closes
        """The client sends no more: what it asked for whole is still answered, what is not whole is dropped."""
        if self._ended:
            return self._waiting_for != "end"
        return self._answer_last()

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the limits."""
        if self._ended:
            return
        self._unset_keepalive_if_required()
        began_before = self._in_head
        try:
            self.parser.feed_data(data)
            if self._in_head and began_before:
                self._head.arrived(len(data))
        except httptools.HttpParserError as error:  # which is the context of what was raised in its callbacks
            refused = error.__context__
            self._refuse(*((refused.status, refused.detail) if isinstance(refused, HeadRefused) else _UNREADABLE))
        except HeadRefused as refused:
            self._refuse(refused.status, refused.detail)
        except httptools.HttpParserUpgrade:
            self._no_upgrade()
        else:
            self._watch()

    # --- the parser's findings

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._head.begin()

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        super().on_url(url)
        self._head.target(len(self.url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is dropped: it must not say what the headers did not (RFC 9110 6.5.1)."""
        self._head.field(name, value)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole; the request is handed on."""
        version, upgrade = self.parser.get_http_version(), self.parser.should_upgrade()
        self._head.complete(version=version, upgrade=upgrade, headers=self.headers)
        super().on_headers_complete()
        self.scope[CYCLE] = self.cycle  # type: ignore[typeddict-unknown-key]  # ours, for `answering`
        self._in_head, self._in_body = False, True
        self._head.begin()  # for the trailers
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
            self._unread.watch()
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
        self._unread.watch()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._unread.stop()

    def timeout_keep_alive_handler(self) -> None:
        """Close the idle connection."""
        if self.transport.get_write_buffer_size():
            self._unread.reset()
        else:
            super().timeout_keep_alive_handler()

    # --- refusing

    def _no_upgrade(self) -> None:
        """We speak HTTP/1.1 alone: the request is answered as if it had not asked; what follows it cannot be read."""
        if not self._answer_last():
            self.transport.close()

    def _answer_last(self) -> bool:
        """Answer what was asked whole, read nothing more and close; False if nothing waits for its answer."""
        last = self._running()
        if self._in_body:  # what is read last is not whole
            last = None
            if self.pipeline and self._answering is not None:
                self.pipeline.popleft()
                last = self.pipeline[0][0] if self.pipeline else self._answering
        if last is None:
            return False
        self._ended = True
        last.keep_alive = False
        self._wait_for("")
        return True

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with a problem and end; what was asked before on this connection is answered instead."""
        log.info("Refused by the front: %s", detail, extra={"status": status})
        if self._answer_last():
            return
        running = self._running()
        if self._in_body and (running is None or running.response_started):
            self.transport.abort()  # answered already, or an answer is being written that this one would cut
            return
        if running is not None:  # it waits for the rest of its body
            running.disconnected = True
            running.message_event.set()
        self.transport.write(written(status, detail, self._correlation_id()))
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
