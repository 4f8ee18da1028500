"""The provider's signing keys: made at first start, kept in the private database, replaced on demand."""

import json
import time
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local.emulators.database import Database
from local.emulators.entra.secrets import random_text

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (kid TEXT PRIMARY KEY, pem BLOB NOT NULL, made_at REAL NOT NULL);
"""
_BITS = 2048
_PUBLISHED_MAX = 2  # the current key and the one before it


class SigningKey:
    """A private key and the name tokens refer to it by."""

    def __init__(self, kid: str, private: rsa.RSAPrivateKey) -> None:
        self.kid = kid
        self.private = private

    @cached_property
    def public_jwk(self) -> dict[str, Any]:
        """The public half as it stands in the JWKS."""
        jwk = json.loads(RSAAlgorithm.to_jwk(self.private.public_key()))
        return {"kty": jwk["kty"], "use": "sig", "alg": "RS256", "kid": self.kid, "n": jwk["n"], "e": jwk["e"]}

    @cached_property
    def public_pem(self) -> bytes:
        """The public half in PEM, which the algorithm-confusion attack misuses as a secret."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class KeyRing:
    """The published keys, newest first; the newest signs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = [_loaded(row) for row in database.all("SELECT * FROM keys ORDER BY made_at DESC")]
        if not self._keys:
            self.rotate()

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._keys[0]

    @cached_property
    def foreign(self) -> SigningKey:
        """A key nobody published, under the current one's name: what a forger would use."""
        return SigningKey(self.current.kid, rsa.generate_private_key(public_exponent=65_537, key_size=_BITS))

    def rotate(self) -> None:
        """Sign with a new key from now on; the one before stays published, older ones do not."""
        made = SigningKey(random_text(16), rsa.generate_private_key(public_exponent=65_537, key_size=_BITS))
        pem = made.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        kept = [made, *self._keys[: _PUBLISHED_MAX - 1]]
        with self._database.transaction():
            self._database.change("INSERT INTO keys VALUES (?, ?, ?)", made.kid, pem, time.time())
            for dropped in self._keys[_PUBLISHED_MAX - 1 :]:
                self._database.change("DELETE FROM keys WHERE kid = ?", dropped.kid)
        self._keys = kept

    def jwks(self) -> dict[str, Any]:
        """The published keys as a JSON Web Key Set."""
        return {"keys": [key.public_jwk for key in self._keys]}


def _loaded(row: Any) -> SigningKey:
    private = serialization.load_pem_private_key(row["pem"], password=None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return SigningKey(row["kid"], private)
