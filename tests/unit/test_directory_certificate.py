"""The certificate for the directory, in every form a setting may hold it in."""

import random
from base64 import b64encode
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from shared.directory.certificate import CertificateUnreadable, looks_like_one, read_certificate
from tests.support.credentials import Credential


@cache
def own() -> Credential:
    return Credential()


@cache
def issuers() -> Credential:
    return Credential()


def on_one_line(pem: str) -> str:
    return pem.strip().replace("\n", " ")


TRADITIONAL = own().private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
ENCRYPTED = own().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
ELLIPTIC = (
    ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
)


@pytest.mark.parametrize(
    "text",
    [
        own().key_pem + own().pem,
        own().pem + own().key_pem,
        own().key_pem + own().pem + issuers().pem,
        own().key_pem + issuers().pem + own().pem,
        (own().key_pem + own().pem).replace("\n", "\r\n"),
        (own().key_pem + own().pem).replace("\n", "\\n"),
        on_one_line(own().key_pem + own().pem),
        TRADITIONAL + own().pem,
        own().pkcs12(),
    ],
    ids=["pem", "key last", "chain", "chain first", "crlf", "escaped", "one line", "pkcs1", "pkcs12"],
)
def test_a_key_with_its_certificate_is_read_from_every_form(text: str) -> None:
    found = read_certificate(text)

    assert looks_like_one(text)
    assert (found.private_key, found.certificate) == (own().key_pem, own().pem)
    assert found.expires_at == own().certificate.not_valid_after_utc
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("text", "outline"),
    [
        (own().key_pem + issuers().pem, True),
        (own().key_pem, False),
        (own().pem, False),
        (ENCRYPTED + own().pem, True),
        (ELLIPTIC + own().pem, True),
        ((own().key_pem + own().pem).replace("M", "N"), True),
        (own().pkcs12()[:400], True),
        ("nonsense", False),
        ("@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/directory)", False),
        ("", False),
    ],
    ids=["another's", "key", "certificate", "encrypted", "ec", "damaged", "cut", "nonsense", "unresolved", "empty"],
)
def test_what_has_no_such_pair_is_unreadable_and_not_shown(text: str, outline: bool) -> None:
    with pytest.raises(CertificateUnreadable) as refused:
        read_certificate(text)

    assert looks_like_one(text) is outline
    assert not any(line in str(refused.value) for line in text.splitlines() if line)


def test_pkcs12_with_a_password_is_unreadable() -> None:
    closed = pkcs12.serialize_key_and_certificates(
        None, own().private, own().certificate, None, BestAvailableEncryption(b"a password")
    )
    with pytest.raises(CertificateUnreadable):
        read_certificate(b64encode(closed).decode())


@pytest.mark.filterwarnings("ignore")  # of what is odd in it, e.g. a serial number below zero
def test_noise_is_never_anything_else_than_unreadable() -> None:
    chance = random.Random(7)
    for _ in range(100):
        text = list(chance.choice([own().key_pem + own().pem, own().pkcs12()]))
        for _ in range(chance.randint(1, 5)):
            text[chance.randrange(len(text))] = chance.choice("A-\n=+ \x00é")
        try:
            found = read_certificate("".join(text))
        except CertificateUnreadable:
            continue
        assert found.private_key == own().key_pem
