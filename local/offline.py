"""Checking a ticket code without the network, as a scanner at the door would: the public keys were fetched before.

Written against the documented format alone, and not with the product's own code, so that it is a second opinion.
"""

from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def code_is_genuine(code: str, keys: Sequence[Mapping[str, str]]) -> bool:
    """Whether `code` was signed by one of `keys` (the `keys` of `GET /api/ticket-keys`)."""
    said, _, signature = code.rpartition(".")
    key_id = said.split(".")[1] if said.count(".") == 4 else ""
    for key in keys:
        if key["kid"] == key_id:
            public = Ed25519PublicKey.from_public_bytes(_decoded(key["x"]))
            try:
                public.verify(_decoded(signature), said.encode())
            except InvalidSignature:
                return False
            return True
    return False


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
