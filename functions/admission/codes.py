"""Ticket codes: what a QR code says, signed so that a scanner without network can check it.

A code is `T1.{key}.{order}.{number}.{event}.{signature}`: version, id of the signing key, what a point read of the
ticket needs, and an Ed25519 signature (RFC 8032) over all before it, base64url without padding.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from functions.admission.tickets import Ticket
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import EventId, OrderId, TicketNumber

VERSION: Final = "T1"
CODE_CHARACTERS_MAX: Final = 400


class CodeRefused(DomainError):
    """The code is not one we signed."""

    kind = Kind.MALFORMED


@dataclass(frozen=True, slots=True)
class Code:
    """What a valid code says."""

    order_id: OrderId
    number: TicketNumber
    event_id: EventId


class Codes:
    """Signs and checks ticket codes.

    :param seed: the Ed25519 private key, 32 bytes base64url
    """

    def __init__(self, seed: str) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(_unbase64(seed))
        self._public: Ed25519PublicKey = self._private.public_key()
        raw = self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._key_id = hashlib.sha256(raw).hexdigest()[:8]
        self._raw_public = raw

    def sign(self, ticket: Ticket) -> str:
        """The ticket's code; always the same for the same ticket."""
        said = f"{VERSION}.{self._key_id}.{ticket.order_id}.{ticket.number}.{ticket.event.event_id}"
        return f"{said}.{_base64(self._private.sign(said.encode()))}"

    def read(self, text: str) -> Code:
        """What the code says, once its signature is checked.

        :raises CodeRefused: not a code, of another version or key, or not signed by us
        """
        said, _, signature = text.rpartition(".")
        parts = said.split(".")
        if len(text) > CODE_CHARACTERS_MAX or len(parts) != 5 or parts[:2] != [VERSION, self._key_id]:
            raise CodeRefused("This is not a ticket code of ours.", field="code")
        try:
            raw = _unbase64(signature)
            self._public.verify(raw, said.encode())
        except (InvalidSignature, ValueError) as error:
            raise CodeRefused("The ticket code is forged or damaged.", field="code") from error
        if _base64(raw) != signature:  # spare bits in the last character: a code is written in one way only
            raise CodeRefused("The ticket code is damaged.", field="code")
        return Code(OrderId(parts[2]), TicketNumber(parts[3]), EventId(parts[4]))

    def public_keys(self) -> list[dict[str, str]]:
        """The public keys as a JSON Web Key Set's `keys` (RFC 8037)."""
        return [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self._key_id, "x": _base64(self._raw_public)}]


def qr_svg(code: str) -> bytes:
    """The code as a QR code, an SVG picture of its own, error correction M."""
    import segno

    picture = BytesIO()
    segno.make(code, error="m", micro=False).save(picture, kind="svg", scale=6, border=4, xmldecl=False)
    return picture.getvalue()


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
