"""Ids: typed, prefixed, and either random or derived from what they stand for."""

import hashlib
import secrets
from base64 import b32encode
from typing import NewType

OrganiserId = NewType("OrganiserId", str)
VenueId = NewType("VenueId", str)
EventId = NewType("EventId", str)
TicketTypeId = NewType("TicketTypeId", str)
PoolId = NewType("PoolId", str)
OrderId = NewType("OrderId", str)
TicketNumber = NewType("TicketNumber", str)
PersonId = NewType("PersonId", str)

_DIGEST_CHARACTERS = 26  # 130 bits of base32: collisions are out of reach
ID_PATTERN = r"^[a-z]{2,4}_[a-z2-7]{26}$"


def random_id(prefix: str) -> str:
    """A fresh id, e.g. `evt_…`: the prefix and 130 random bits in lower-case base32."""
    return f"{prefix}_{random_text()}"


def random_text() -> str:
    """130 random bits in lower-case base32, for what nobody may guess or meet twice."""
    return _base32(secrets.token_bytes(17))


def derived_id(prefix: str, *parts: str) -> str:
    """The id that always follows from `parts`, so that asking again finds the same document.

    Parts are length-prefixed before hashing: ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return f"{prefix}_{_base32(digest.digest()[:17])}"


def person_id_of(issuer: str, subject: str) -> PersonId:
    """The person behind a token: OpenID Connect promises uniqueness of (iss, sub) only."""
    return PersonId(derived_id("per", issuer, subject))


def _base32(data: bytes) -> str:
    return b32encode(data).decode().lower()[:_DIGEST_CHARACTERS]
