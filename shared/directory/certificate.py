"""The certificate we prove ourselves with to the directory's tenant, as a Key Vault reference hands it to a setting.

Which form that is depends on the certificate's policy: PKCS#12 without a password, in base64, or PEM, the key before
its certificate (https://learn.microsoft.com/azure/key-vault/certificates/about-certificates). Both are read here.
"""

import re
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z ]+)-----(.*?)-----END \1-----", re.DOTALL)
_LINE_CHARACTERS: Final = 64
_SEQUENCE: Final = 0x30  # how every DER structure that is looked for here begins


class CertificateUnreadable(Exception):
    """The text has no RSA key with its certificate; the message says what it lacks and shows nothing of it."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A private key and the certificate that was made for it, both PEM."""

    private_key: str = field(repr=False)
    certificate: str
    expires_at: datetime


def looks_like_one(text: str) -> bool:
    """Whether `text` has the outline of a key with its certificate: cheap, and without cryptography's import."""
    if "-----BEGIN" in text:
        kinds = {kind for kind, _ in _BLOCK.findall(text)}
        return "CERTIFICATE" in kinds and any(kind.endswith("PRIVATE KEY") for kind in kinds)
    try:
        return b64decode(text, validate=True)[:1] == bytes([_SEQUENCE])
    except ValueError:
        return False


def read_certificate(text: str) -> ClientCertificate:
    """The key and its certificate in `text`, PEM or PKCS#12 in base64; further certificates are its chain.

    :raises CertificateUnreadable: there is no such pair in it
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import InvalidVersion

    try:
        return _pair(*(_from_pem(text) if "-----BEGIN" in text else _from_pkcs12(text)))
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion) as error:  # TypeError: it wants a password
        raise CertificateUnreadable("It is neither PEM nor PKCS#12 in base64, both without a password.") from error


def _pair(key: object, certificates: "list[Certificate]") -> ClientCertificate:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if not isinstance(key, RSAPrivateKey):
        raise CertificateUnreadable("It has no RSA key.")
    own = next((one for one in certificates if one.public_key() == key.public_key()), None)
    if own is None:
        raise CertificateUnreadable("It has no certificate that belongs to its key.")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return ClientCertificate(private, own.public_bytes(Encoding.PEM).decode(), own.not_valid_after_utc)


def _from_pem(text: str) -> "tuple[object, list[Certificate]]":
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    blocks = [(kind, _lines(kind, body)) for kind, body in _BLOCK.findall(text)]
    keys = [load_pem_private_key(pem, None) for kind, pem in blocks if kind.endswith("PRIVATE KEY")]
    certificates = [load_pem_x509_certificate(pem) for kind, pem in blocks if kind == "CERTIFICATE"]
    return (keys[0] if keys else None), certificates


def _from_pkcs12(text: str) -> "tuple[object, list[Certificate]]":
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

    key, own, chain = load_key_and_certificates(b64decode(text, validate=True), None)
    return key, [*([own] if own else []), *chain]


def _lines(kind: str, body: str) -> bytes:
    """The block with lines of its own again: portals and shells make blanks, or a backslash and an n, of them."""
    bare = "".join(body.replace("\\n", "").split())
    lines = [bare[at : at + _LINE_CHARACTERS] for at in range(0, len(bare), _LINE_CHARACTERS)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""]).encode()
