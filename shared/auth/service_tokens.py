"""The tokens of service keys: made once, recognised wherever they leak, and kept only as hashes.

`tsk_<id>_<secret><checksum>`: the prefix tells scanners whose it is, the checksum (CRC-32, as in GitHub's tokens:
https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/) lets anybody tell a
key from a look-alike without asking us. The secret has 260 random bits, so a plain SHA-256 of it cannot be searched
through: slow hashes are for what people choose.
"""

import hashlib
import re
import secrets
import zlib
from base64 import b32encode
from dataclasses import dataclass
from typing import Final, NewType

from shared.kernel.ids import random_id

ServiceKeyId = NewType("ServiceKeyId", str)

PREFIX: Final = "tsk_"
SECRET_CHARACTERS: Final = 52
_CHECKSUM_CHARACTERS: Final = 7  # 32 bits in base32
_TOKEN: Final = re.compile(
    rf"tsk_(?P<id>[a-z2-7]{{26}})_(?P<secret>[a-z2-7]{{{SECRET_CHARACTERS}}})(?P<sum>[a-z2-7]{{{_CHECKSUM_CHARACTERS}}})"
)
_KEY_ID: Final = re.compile(r"tsk_[a-z2-7]{26}")


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """A well-formed token.

    :param key_id: of the service key it says it belongs to
    :param hash: of the token whole, as it is kept
    """

    key_id: ServiceKeyId
    hash: str


def new_key_id() -> ServiceKeyId:
    """The id of a new service key, `tsk_…`."""
    return ServiceKeyId(random_id("tsk"))


def make_token(key_id: ServiceKeyId) -> str:
    """A new token of a key: shown once, and never again."""
    secret = b32encode(secrets.token_bytes(33)).decode().lower()[:SECRET_CHARACTERS]
    body = f"{key_id}_{secret}"
    return body + _checksum(body)


def parse_token(token: str) -> ServiceToken | None:
    """What a token says of itself; None if it is none of ours, wherever it came from."""
    found = _TOKEN.fullmatch(token)
    if found is None or _checksum(token[:-_CHECKSUM_CHARACTERS]) != found["sum"]:
        return None
    return ServiceToken(ServiceKeyId(f"tsk_{found['id']}"), hash_of(token))


def is_key_id(text: str) -> bool:
    """Whether a text looks like the id of a service key."""
    return _KEY_ID.fullmatch(text) is not None


def hash_of(token: str) -> str:
    """The SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(body: str) -> str:
    crc = zlib.crc32(body.encode()).to_bytes(4, "big")
    return b32encode(crc).decode().lower()[:_CHECKSUM_CHARACTERS]
