"""Random texts and password hashes."""

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode

# RFC 7914's parameters for interactive use: about 40 ms and 16 MB a guess.
_COST, _BLOCK, _LANES = 2**14, 8, 1
_SALT_BYTES = 16


def random_text(size: int) -> str:
    """`size` random bytes in URL-safe characters."""
    return urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()


def hashed(password: str) -> bytes:
    """A salted scrypt hash, salt first."""
    salt = os.urandom(_SALT_BYTES)
    return salt + _scrypt(password, salt)


def matches(password: str, stored: bytes) -> bool:
    """Whether `password` is the one that was hashed."""
    return hmac.compare_digest(_scrypt(password, stored[:_SALT_BYTES]), stored[_SALT_BYTES:])


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=_BLOCK, p=_LANES)
