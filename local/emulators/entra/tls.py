"""The certificate of the TLS door, by an authority that signs this one and then forgets its key."""

import os
from pathlib import Path

import trustme

from local.emulators.database import PRIVATE_FILE
from local.emulators.serving import LOOPBACK, Tls


def own_certificate(data: Path) -> Tls:
    """The certificate kept in `data`, made at first; clients trust `data/ca.pem`."""
    authority, own = data / "ca.pem", data / "tls.pem"
    if not authority.exists():
        made = trustme.CA(organization_name="Tessera's local sign-in")
        certificate = made.issue_cert(LOOPBACK, "localhost")
        _write(own, certificate.private_key_and_cert_chain_pem.bytes())
        _write(authority, made.cert_pem.bytes())  # last: where it is, the other is too
    return Tls(own, own)


def _write(file: Path, content: bytes) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb") as out:
        out.write(content)
    unfinished.replace(file)
