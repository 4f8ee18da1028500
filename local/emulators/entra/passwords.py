"""Passwords as hashes (bcrypt)."""

import asyncio
import hashlib
import hmac
import os
import unicodedata
from base64 import b64encode

import bcrypt

PASSWORD_CHARACTERS_MAX = 256
# 2^10 rounds are about 65 ms a guess on the machine this was measured on. Tests, which start many, take fewer.
_ROUNDS = int(os.environ.get("ENTRA_BCRYPT_ROUNDS", "10"))
_PURPOSE = b"tessera-entra-emulator:password:1"


def hashed(password: str) -> bytes:
    """A salted bcrypt hash."""
    return bcrypt.hashpw(_prepared(password), bcrypt.gensalt(_ROUNDS))


async def hash_in_thread(password: str) -> bytes:
    """The same, while others are answered."""
    return await asyncio.to_thread(hashed, password)


def matches(password: str, stored: bytes) -> bool:
    """Whether `password` is the one that was hashed."""
    return bcrypt.checkpw(_prepared(password), stored)


def _prepared(password: str) -> bytes:
    """A digest that bcrypt reads whole.

    bcrypt reads 72 bytes, which is less than a passphrase may have (in some scripts 24 characters), and stops at a zero
    byte. Hence a digest, in base64. It is keyed with our purpose, so that plain digests leaked elsewhere cannot be
    tried instead of passwords. Keyboards write one accent in several ways: NFKC makes them one.
    """
    text = unicodedata.normalize("NFKC", password).encode()
    return b64encode(hmac.digest(_PURPOSE, text, hashlib.sha256))
