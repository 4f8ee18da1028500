"""What a service proves itself with at the sign-in double, and the double's two doors."""

import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from tests.emulators.processes import Emulator


class Credential:
    """A key and the certificate of it."""

    def __init__(self, *, begins: timedelta = timedelta(days=-1), ends: timedelta = timedelta(days=1)) -> None:
        self.private = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a service")])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(name, name, self.private.public_key(), x509.random_serial_number())
        self.certificate = (
            made.not_valid_before(now + begins).not_valid_after(now + ends).sign(self.private, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        form, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.private.private_bytes(serialization.Encoding.PEM, form, no_password).decode()

    def thumbprint(self) -> str:
        return jwt.utils.base64url_encode(self.certificate.fingerprint(hashes.SHA256())).decode()

    def pkcs12(self) -> str:
        """Both as a Key Vault reference gives them, where the certificate's policy says PKCS#12."""
        made = pkcs12.serialize_key_and_certificates(
            None, self.private, self.certificate, None, serialization.NoEncryption()
        )
        return b64encode(made).decode()


class Doors:
    """An emulator with its TLS door."""

    def __init__(self, emulator: Emulator, data: Path) -> None:
        self.emulator = emulator
        self.ca = str(data / "ca.pem")
        self.tls_url = next(word for word in emulator.words if word.startswith("https://"))
        self.tenant = emulator.last_word.split("/")[-2]
        self.authority = f"{self.tls_url}/{self.tenant}"
        self.token_endpoint = f"{self.authority}/oauth2/v2.0/token"

    def tls(self) -> ssl.SSLContext:
        """What a client trusts that talks to the TLS door."""
        return ssl.create_default_context(cafile=self.ca)
