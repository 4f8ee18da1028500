"""The app that administers people's accounts, as it is registered with the sign-in double: its id, its certificate."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

CLIENT_ID: Final = "tessera-directory"
ISSUER: Final = "tessera.onmicrosoft.com"
ROLES: Final = ("User.ReadWrite.All", "User.DeleteRestore.All")  # what docs/azure.md asks for
_GRAPH: Final = "https://graph.microsoft.com"
_PRIVATE: Final = 0o600
_LASTS: Final = timedelta(days=3650)  # as long as a data directory is likely to
_KEY_BITS: Final = 2048


def registration(data: Path) -> Path:
    """The file that tells the double of this app; its certificate is made at first use."""
    made = _certificate(data)
    public = made[made.index("-----BEGIN CERTIFICATE") :]
    app = {"id": CLIENT_ID, "name": "Tessera's directory", "certificates": [public], "roles": {_GRAPH: ROLES}}
    path = data / "applications.json"
    _write(path, json.dumps([app], indent=2))
    return path


def directory_settings(data: Path, *, url: str, tenant: str, ca: Path) -> Mapping[str, str]:
    """How the functions reach the double's Graph.

    :param url: the double by TLS
    :param ca: the authority that signed its certificate
    """
    return {
        "DIRECTORY_AUTHORITY": f"{url}/{tenant}",
        "DIRECTORY_CLIENT_ID": CLIENT_ID,
        "DIRECTORY_CERTIFICATE": _certificate(data),
        "DIRECTORY_ISSUER": ISSUER,
        "DIRECTORY_GRAPH_BASE": f"{url}/v1.0",
        "DIRECTORY_CA": str(ca),
    }


def _certificate(data: Path) -> str:
    """The key and its certificate, PEM, as Key Vault would give them."""
    path = data / "directory.pem"
    if not path.exists():
        _write(path, _made())
    return path.read_text()


def _made() -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65_537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CLIENT_ID)])
    now = datetime.now(UTC)
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    # It begins an hour ago: clocks may be set back.
    signed = unsigned.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + _LASTS)
    own = signed.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (private + own.public_bytes(Encoding.PEM)).decode()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for its owner only."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as out:
        out.write(text)
    fresh.rename(path)
