"""Ticket codes: what a QR code says, signed so that a scanner without network can check it.

A code is `T1.{key}.{order}.{index}.{event}.{signature}`: version, id of the signing key, order id, the ticket's place
in its order and event id (what a point read needs, the ids without their prefixes), and an Ed25519 signature (RFC 8032)
over all before it, base64url without padding. At 151 characters it fits a QR code of version 8 with error correction M.
"""

import hashlib
import re
import struct
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from functions.admission.tickets import TICKETS_PER_ORDER_MAX, Ticket, index_of, number_of
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import EventId, OrderId, TicketNumber

if TYPE_CHECKING:
    import zxingcpp

VERSION: Final = "T1"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
CODE_CHARACTERS_MAX: Final = 400
_CODE = re.compile(r"^T1\.([0-9a-f]{4})\.([a-z2-7]{26})\.([1-9][0-9]?)\.([a-z2-7]{26})\.([A-Za-z0-9_-]{86})$")


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

    :param seeds: Ed25519 private keys, 32 bytes base64url each; the first signs, all are recognised, so that a new
        key does not void what was sold under the old one. None where neither is asked for
    """

    def __init__(self, *seeds: str) -> None:
        keys = [Ed25519PrivateKey.from_private_bytes(_unbase64(seed)) for seed in seeds]
        self._private = [(_key_id(key.public_key()), key) for key in keys]
        self._public: dict[str, Ed25519PublicKey] = {key_id: key.public_key() for key_id, key in self._private}

    def sign(self, ticket: Ticket) -> str:
        """The ticket's code; always the same for the same ticket."""
        order, event = _bare(ticket.order_id), _bare(ticket.event.event_id)
        key_id, key = self._private[0]
        said = f"{VERSION}.{key_id}.{order}.{index_of(ticket.number)}.{event}"
        return f"{said}.{_base64(key.sign(said.encode()))}"

    def read(self, text: str) -> Code:
        """What the code says, once its signature is checked.

        :raises CodeRefused: not a code, of another version or key, or not signed by us
        """
        found = _CODE.fullmatch(text)
        if found is None or found[1] not in self._public:
            raise CodeRefused("This is not a ticket code of ours.", field="code")
        said = text[: found.end(4)]
        try:
            signature = _unbase64(found[5])
            self._public[found[1]].verify(signature, said.encode())
        except (InvalidSignature, ValueError) as error:
            raise CodeRefused("The ticket code is forged or damaged.", field="code") from error
        if _base64(signature) != found[5]:  # spare bits in the last character: a code is written in one way only
            raise CodeRefused("The ticket code is damaged.", field="code")
        order_id = OrderId(f"ord_{found[2]}")
        if not 1 <= int(found[3]) <= TICKETS_PER_ORDER_MAX:
            raise CodeRefused("The ticket code is for no ticket.", field="code")
        return Code(order_id, number_of(order_id, int(found[3])), EventId(f"evt_{found[4]}"))

    def public_keys(self) -> list[dict[str, str]]:
        """The public keys as a JSON Web Key Set's `keys` (RFC 8037)."""
        return [
            {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": key_id, "x": _base64(_raw(public))}
            for key_id, public in self._public.items()
        ]


def qr_svg(code: str) -> bytes:
    """The code as a QR code, an SVG picture of its own, error correction M."""
    picture: str = _qr(code).to_svg(scale=6)
    return picture[picture.index("<svg") :].encode()  # without the prolog: the picture may stand inside a page


def qr_png(code: str) -> bytes:
    """The code as a QR code, a black and white PNG of 8 pixels a module, error correction M.

    Eight pixels of one bit are one byte, so a row of modules, black 0 and white 255 each, is a row of the picture as it
    is; the seven rows below it are the same (PNG third edition, section 9.2: filter type 2 says "as above").
    """
    picture = _qr(code).to_image(scale=1)
    height, width = picture.shape
    modules = bytes(memoryview(picture))
    again = (b"\2" + bytes(width)) * 7
    rows = b"".join(b"\0" + modules[at : at + width] + again for at in range(0, width * height, width))
    header = struct.pack(">IIBBBBB", width * 8, height * 8, 1, 0, 0, 0, 0)
    return _PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 1)) + _chunk(b"IEND", b"")


def _qr(code: str) -> "zxingcpp.Barcode":
    """The symbol, always with mask 3: choosing the best of eight takes 0.4 of 0.45 ms, and under text as random as a
    signature none is better than another.
    """
    import zxingcpp

    return zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.QRCode, ec_level="M", data_mask=3)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _key_id(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(_raw(public)).hexdigest()[:4]


def _bare(id_: str) -> str:
    return id_.partition("_")[2]


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _unbase64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
