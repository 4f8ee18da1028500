"""What a request's head may be: how long, of how many headers, and for exactly one host."""

from collections.abc import Sequence
from typing import Final

from local.host.limits import HEAD_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX
from local.host.problems import Header

_ANNOUNCE_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_BETWEEN_BYTES: Final = 8  # between names and values, generously


class HeadRefused(Exception):
    """The head is not acceptable; `status` and `detail` are the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class HeadMeter:
    """Measures one head at a time, and the trailers behind its body."""

    def __init__(self) -> None:
        self._fields = 0
        self._bytes = 0
        self._arrived = 0
        self._hosts = 0

    def begin(self) -> None:
        """A head begins, or the trailers do."""
        self._fields = self._bytes = self._arrived = self._hosts = 0

    def target(self, length: int) -> None:
        """The request's target has so many bytes by now.

        :raises HeadRefused: they are too many
        """
        if length > TARGET_BYTES_MAX:
            raise HeadRefused(414, f"Path and query exceed {TARGET_BYTES_MAX} bytes.")

    def field(self, name: bytes, value: bytes) -> None:
        """A whole header.

        :raises HeadRefused: there are too many, or they are too long
        """
        self._fields += 1
        self._bytes += len(name) + len(value)
        if self._fields > HEADERS_MAX:
            raise HeadRefused(431, f"There are more than {HEADERS_MAX} headers.")
        if self._bytes > HEAD_BYTES_MAX:
            raise HeadRefused(431, f"The headers exceed {HEAD_BYTES_MAX} bytes.")
        if len(name) == 4 and name.lower() == b"host":
            self._hosts += 1

    def arrived(self, number: int) -> None:
        """So many bytes came, and the head is not whole: bounds the header that never is.

        :raises HeadRefused: all in all they are too many
        """
        self._arrived += number
        if self._arrived > HEAD_BYTES_MAX + TARGET_BYTES_MAX + HEADERS_MAX * _BETWEEN_BYTES:
            raise HeadRefused(431, f"The headers exceed {HEAD_BYTES_MAX} bytes.")

    def complete(self, *, version: str, upgrade: bool, headers: Sequence[Header]) -> None:
        """The head is whole.

        :param version: of HTTP
        :param upgrade: whether it asks for another protocol
        :raises HeadRefused: it does not name exactly one host (RFC 9112 section 3.2), or its body would be lost, since
            the parser takes that for the other protocol
        """
        if self._hosts > 1 or (self._hosts == 0 and version == "1.1"):
            raise HeadRefused(400, "Send one Host header.")
        if upgrade and any(name in _ANNOUNCE_BODY for name, _ in headers):
            raise HeadRefused(400, "Send a request with a body without Upgrade: only HTTP/1.1 is spoken here.")
