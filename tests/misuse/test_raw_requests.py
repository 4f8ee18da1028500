"""Bytes no client library would send: each is a documented refusal or a clean end, and the next request is answered."""

import asyncio
import socket
from urllib.parse import urlsplit

import pytest

from local.host.limits import HEAD_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX
from tests.misuse.probes import LIVE, head, still_answers
from tests.support.api import Api
from tests.support.wire import PATIENCE_SECONDS, asked, connected, request

pytestmark = pytest.mark.xdist_group("misuse")  # one Tessera for all of them

UNREADABLE = {
    "garbage": b"\x00\xff\xfe garbage \r\n\r\n",
    "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": head(b"GET /api/health/live HTTP/9.9", b"Host: a"),
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "an unknown method": head(b"FETCH /api/health/live HTTP/1.1", b"Host: a"),
    "a method in lower case": head(b"get /api/health/live HTTP/1.1", b"Host: a"),
    "a blank in the path": head(b"GET /api/health/li ve HTTP/1.1", b"Host: a"),
    "NUL in the path": head(b"GET /api/\x00 HTTP/1.1", b"Host: a"),
    "NUL in a header": head(b"GET /api/health/live HTTP/1.1", b"Host: a", b"X-A: b\x00c"),
    "NUL in a header's name": head(b"GET /api/health/live HTTP/1.1", b"Host: a", b"X\x00A: b"),
    "a blank before the colon": head(b"GET /api/health/live HTTP/1.1", b"Host : a"),
    "a header without a colon": head(b"GET /api/health/live HTTP/1.1", b"Host: a", b"nonsense"),
    "a folded header": head(b"GET /api/health/live HTTP/1.1", b"Host: a", b"X-A: b", b" c"),
    "no host": head(b"GET /api/health/live HTTP/1.1"),
    "two hosts": head(b"GET /api/health/live HTTP/1.1", b"Host: a", b"Host: b"),
    "a length below zero": head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length: -1"),
    "a length with a sign": head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length: +13"),
    "a length that is no number": head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length: many"),
    "a length beyond 64 bits": head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length: " + b"9" * 30),
    "an empty length": head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length:"),
    "a list of lengths": head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length: 13, 13"),
    "two lengths": head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length: 13", b"Content-Length: 14"),
    "a length and chunks": head(
        b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Length: 13", b"Transfer-Encoding: chunked"
    ) + b"0\r\n\r\nGET /api/me HTTP/1.1\r\nHost: a\r\n\r\n",
    "chunks and a length": head(
        b"POST /api/organisers HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked", b"Content-Length: 13"
    ) + b"0\r\n\r\nGET /api/me HTTP/1.1\r\nHost: a\r\n\r\n",
    "chunks that are not last": head(
        b"POST /api/organisers HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked, gzip"
    ) + b"0\r\n\r\n",
    "a chunk's size that is no number": head(
        b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    ) + b"zz\r\n\r\n",
    "a chunk longer than it says": head(
        b"POST /api/organisers HTTP/1.1", b"Host: a", b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    ) + b"2\r\n{}{}{}\r\n0\r\n\r\n",
    "a chunk's size beyond 64 bits": head(
        b"POST /api/organisers HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked"
    ) + b"f" * 30 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_is_no_request_is_a_400_and_the_end(api: Api, data: bytes) -> None:
    async with connected(api.stack.url) as line:
        await line.send(data)
        answer = await line.answer()

        assert answer is not None
        assert answer.status == 400
        answer.problem()
        assert answer.headers["connection"] == "close"
        assert await line.ended()
    await still_answers(api.stack.url)


TOO_MUCH = {
    "a long path": (request("GET", "/api/" + "a" * TARGET_BYTES_MAX), 414),
    "a long query": (request("GET", LIVE + "?a=" + "b" * TARGET_BYTES_MAX), 414),
    "a path without end": (b"GET /" + b"a" * 2_000_000, 414),
    "a huge header": (request("GET", LIVE, {"x-huge": "a" * HEAD_BYTES_MAX}), 431),
    "a header without end": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 2_000_000, 431),
    "a name without end": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a" * 2_000_000, 431),
    "ten thousand headers": (request("GET", LIVE, {f"x-{n}": "1" for n in range(10_000)}), 431),
    "one header too many": (request("GET", LIVE, {f"x-{n}": "1" for n in range(HEADERS_MAX)}), 431),
    "a token of a megabyte": (request("GET", "/api/me", token="a" * 1_000_000), 431),
    "ten thousand trailers": (
        head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked")
        + b"0\r\n" + b"X-A: b\r\n" * 10_000,
        431,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "status"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_a_head_beyond_its_limits_is_refused_by_the_limit_it_breaks(api: Api, data: bytes, status: int) -> None:
    async with connected(api.stack.url) as line:
        await line.send(data)
        answer = await line.answer()

        assert answer is not None
        assert answer.status == status
        assert any(
            str(limit) in answer.problem()["detail"] for limit in (TARGET_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX)
        )
        assert await line.ended()
    await still_answers(api.stack.url)


@pytest.mark.parametrize(("spare", "status"), [(0, 200), (1, 431)], ids=["at the limit", "a byte beyond it"])
async def test_a_head_is_measured_alike_whole_and_in_pieces(api: Api, spare: int, status: int) -> None:
    size = HEAD_BYTES_MAX - len("host") - len("shop.example") - 2 * len("x-a") + spare
    data = request("GET", LIVE, {"x-a": "a" * (size // 2), "x-b": "b" * (size - size // 2)})

    whole = await asked(api.stack.url, data)
    async with connected(api.stack.url) as line:
        for at in range(0, len(data), 1_000):
            await line.send(data[at : at + 1_000])
            await asyncio.sleep(0.001)
        in_pieces = await line.answer()

    assert whole is not None
    assert in_pieces is not None
    assert (whole.status, in_pieces.status) == (status, status)


def test_who_sends_everything_before_it_reads_still_gets_its_refusal(api: Api) -> None:
    """The front must not close on what is still on its way: that resets, and the answer is lost with it."""
    parts = urlsplit(api.stack.url)

    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(request("GET", LIVE, {"x-a": "a" * 5_000_000}))
        answer = client.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 431 ")
