"""Random texts, and what is kept of them: digests."""

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode

from local.emulators.database import Database

SCHEMA = "CREATE TABLE IF NOT EXISTS own_secret (value BLOB NOT NULL);"
_BYTES = 32
# How secrets begin that a leak of would let somebody in, so that whoever searches a file knows them from other texts.
CODE, LINK, REFRESH = "eac_", "eln_", "ert_"


def random_text(size: int = _BYTES) -> str:
    """`size` random bytes in URL-safe characters."""
    return _text(os.urandom(size))


def digest(secret: str) -> str:
    """What is kept of a random text, so that a copy of the database lets nobody in."""
    return _text(hashlib.sha256(secret.encode()).digest())


class OwnSecret:
    """The provider's own secret, made at first start; texts that only it can make follow from it."""

    def __init__(self, database: Database) -> None:
        row = database.one("SELECT value FROM own_secret")
        if row is None:
            database.change("INSERT INTO own_secret VALUES (?)", os.urandom(_BYTES))
            row = database.one("SELECT value FROM own_secret")
            assert row is not None
        self._value: bytes = row["value"]

    def text(self, purpose: str, *facts: str) -> str:
        """The text that follows from `facts`, for one purpose; 43 URL-safe characters."""
        said = b"".join(len(fact.encode()).to_bytes(4) + fact.encode() for fact in (purpose, *facts))
        return _text(hmac.digest(self._value, said, hashlib.sha256))

    def is_text(self, sent: str, purpose: str, *facts: str) -> bool:
        """Whether `sent` is that text."""
        return hmac.compare_digest(sent.encode(), self.text(purpose, *facts).encode())


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
