"""What the raw tests share: how bytes are put together, and how it is seen that nothing was harmed."""

import json

from shared.version import UNPACKAGED
from tests.support.wire import asked, request

LIVE = "/api/health/live"


def head(*lines: bytes) -> bytes:
    """A head of these lines."""
    return b"\r\n".join([*lines, b"", b""])


def chunked(body: bytes, *trailers: bytes) -> bytes:
    """A body in chunks of at most 60,000 bytes, and what may follow it."""
    parts = [body[at : at + 60_000] for at in range(0, len(body), 60_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + head(b"0", *trailers)


async def still_answers(url: str) -> None:
    """An ordinary request on a fresh connection gets its ordinary answer."""
    answer = await asked(url, request("GET", LIVE))
    assert answer is not None
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "alive", "version": UNPACKAGED})
