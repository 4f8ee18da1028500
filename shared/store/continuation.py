"""Continuation tokens: where a page ended, signed for one query so that nobody can forge or reuse them elsewhere."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import orjson

from shared.store.port import ContinuationRefused, Everywhere, Json, OrderBy, Where

_SIGNATURE_BYTES = 32
TOKEN_CHARACTERS_MAX = 8192  # Cosmos' own continuations, wrapped, reach a few kilobytes


def query_text(container: str, partition: str | Everywhere, where: Sequence[Where], order_by: OrderBy | None) -> bytes:
    """What makes a query this very query, in one canonical form; its page size does not."""
    return orjson.dumps(
        [
            container,
            None if isinstance(partition, Everywhere) else partition,
            [[condition.path, condition.operator, condition.value] for condition in where],
            None if order_by is None else [order_by.path, order_by.descending],
        ]
    )


class Continuations:
    """Signs and opens continuation tokens with HMAC-SHA256.

    :param secret: the signing key, the same in every process that answers the same clients
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, query: bytes, state: Json) -> str:
        """A token that carries `state` for `query` (see `query_text`)."""
        body = orjson.dumps(state)
        return urlsafe_b64encode(self._signature(query, body) + body).rstrip(b"=").decode()

    def open(self, query: bytes, token: str) -> Json:
        """The state that was signed into `token`.

        :raises ContinuationRefused: it was not signed here for this very query
        """
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise ContinuationRefused("The continuation token is too long.")
        try:
            data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except ValueError as error:  # UnicodeEncodeError and binascii.Error are ValueErrors
            raise ContinuationRefused("The continuation token is damaged.") from error
        signature, body = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(query, body)):
            raise ContinuationRefused("The continuation token does not belong to this query.")
        return orjson.loads(body)

    def _signature(self, query: bytes, body: bytes) -> bytes:
        return hmac.digest(self._secret, hashlib.sha256(query).digest() + body, "sha256")
