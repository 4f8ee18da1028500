"""The provider's signing keys: made at first start, kept in the private database, replaced in time or at once."""

import json
import sqlite3
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local.emulators.database import Database
from local.emulators.entra.clock import Clock
from local.emulators.entra.secrets import random_text

SCHEMA = """
DROP TABLE IF EXISTS keys;
CREATE TABLE IF NOT EXISTS signing_keys (kid TEXT PRIMARY KEY, pem BLOB NOT NULL, signs_from REAL NOT NULL);
"""
TOKEN_SECONDS = 3600
SIGNS_SECONDS = 30 * 86_400
ANNOUNCED_SECONDS = 86_400  # a key is published this long before it signs; who keeps keys has asked again by then
_LEEWAY_SECONDS = 300  # a key stays published this much longer than the tokens it signed live
_BITS = 2048
_KID_BYTES = 16


class SigningKey:
    """A private key and the name tokens refer to it by."""

    def __init__(self, kid: str, private: rsa.RSAPrivateKey, signs_from: float) -> None:
        self.kid = kid
        self.private = private
        self.signs_from = signs_from

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
    """The published keys, in the order in which they sign: those before the current one, that one, and the next."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._keys = [_loaded(row) for row in database.all("SELECT * FROM signing_keys ORDER BY signs_from")]
        if not self._keys:
            self._add(clock.now())

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        self._tend()
        now = self._clock.now()
        return next((key for key in reversed(self._keys) if key.signs_from <= now), self._keys[0])

    @cached_property
    def foreign(self) -> SigningKey:
        """A key nobody published, under the current one's name: what a forger would use."""
        return SigningKey(self.current.kid, _generated(), 0)

    def rotate(self, *, compromised: bool = False) -> None:
        """Sign with a new key at once, unannounced.

        :param compromised: whether the keys before are published no more, whatever they signed
        """
        if compromised:
            self._drop(list(self._keys))
        # A key that was announced but has not signed would else take over from this one in its turn.
        self._drop([key for key in self._keys if key.signs_from > self._clock.now()])
        self._add(self._clock.now())

    def jwks(self) -> dict[str, Any]:
        """The published keys as a JSON Web Key Set."""
        self._tend()
        return {"keys": [key.public_jwk for key in self._keys]}

    def published(self, kid: str) -> SigningKey | None:
        """The published key of a name."""
        self._tend()
        return next((key for key in self._keys if key.kid == kid), None)

    def _tend(self) -> None:
        """Announce the next key when it is time, and drop those whose tokens have all expired."""
        now = self._clock.now()
        newest = self._keys[-1]
        if newest.signs_from + SIGNS_SECONDS - ANNOUNCED_SECONDS <= now:
            self._add(max(newest.signs_from + SIGNS_SECONDS, now + ANNOUNCED_SECONDS))
        long_ago = now - TOKEN_SECONDS - _LEEWAY_SECONDS
        over = [key for key, after in zip(self._keys, self._keys[1:], strict=False) if after.signs_from <= long_ago]
        if over:
            self._drop(over)

    def _add(self, signs_from: float) -> None:
        made = SigningKey(random_text(_KID_BYTES), _generated(), signs_from)
        pem = made.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._database.change("INSERT INTO signing_keys VALUES (?, ?, ?)", made.kid, pem, signs_from)
        self._keys = sorted([*self._keys, made], key=lambda key: key.signs_from)

    def _drop(self, over: list[SigningKey]) -> None:
        for key in over:
            self._database.change("DELETE FROM signing_keys WHERE kid = ?", key.kid)
        self._keys = [key for key in self._keys if key not in over]


def _generated() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=_BITS)


def _loaded(row: sqlite3.Row) -> SigningKey:
    private = serialization.load_pem_private_key(row["pem"], password=None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return SigningKey(row["kid"], private, row["signs_from"])
