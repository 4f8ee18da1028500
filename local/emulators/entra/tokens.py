"""Tokens as Entra writes them (https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference)."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Literal, Self

import jwt
import orjson

from local.emulators.entra.applications import Application
from local.emulators.entra.clock import Clock
from local.emulators.entra.config import Door
from local.emulators.entra.keys import TOKEN_SECONDS, KeyRing
from local.emulators.entra.people import object_id_of, subject_of
from local.emulators.entra.secrets import random_text
from local.emulators.entra.users import User

SCOPE = "tickets.use"
Signer = Literal["current", "foreign", "none", "confused"]


@dataclass(frozen=True)
class Bearer:
    """Whom a token speaks of."""

    email: str
    name: str
    roles: tuple[str, ...]
    subject: str
    object_id: str

    @classmethod
    def of(cls, user: User) -> Self:
        """Somebody in the directory."""
        return cls(user.email, user.name, user.roles, user.subject, user.id)

    @classmethod
    def made_up(cls, email: str, name: str, roles: tuple[str, ...], subject: str | None = None) -> Self:
        """Somebody whom the directory does not know; one of another subject is another person."""
        return cls(email, name, roles, subject or subject_of(email), object_id_of(subject or email))


class Mint:
    """Makes tokens of one door."""

    def __init__(self, keys: KeyRing, door: Door, clock: Clock, *, audience: str, client_id: str) -> None:
        self._keys = keys
        self._door = door
        self._clock = clock
        self._audience = audience
        self._client_id = client_id

    def access_token(
        self,
        bearer: Bearer,
        *,
        client_id: str | None = None,
        lifetime_seconds: int = TOKEN_SECONDS,
        overrides: dict[str, Any] | None = None,
        signer: Signer = "current",
    ) -> str:
        """A token for the API; `overrides` replaces claims, and one of None leaves the claim out."""
        claims = self._claims(bearer, lifetime_seconds) | {
            "aud": self._audience,
            "azp": client_id or self._client_id,
            "scp": SCOPE,
            "roles": list(bearer.roles),
            **(overrides or {}),
        }
        return self._signed({name: claim for name, claim in claims.items() if claim is not None}, signer)

    def id_token(self, bearer: Bearer, *, client_id: str, nonce: str | None) -> str:
        """A token that tells the client who signed in."""
        claims = self._claims(bearer, TOKEN_SECONDS) | {"aud": client_id, "roles": list(bearer.roles)}
        return self._signed(claims if nonce is None else claims | {"nonce": nonce}, "current")

    def service_token(self, service: Application, resource: str) -> str:
        """A token for a service itself: application roles, no scope, no person."""
        roles = {"roles": list(service.roles[resource])} if service.roles.get(resource) else {}
        claims = self._registered_claims(service.object_id, service.object_id, TOKEN_SECONDS) | roles
        told = {"aud": resource, "appid": service.id, "azp": service.id, "azpacr": "2", "idtyp": "app"}
        return self._signed(claims | told, "current")

    def _claims(self, bearer: Bearer, lifetime_seconds: int) -> dict[str, Any]:
        return self._registered_claims(bearer.subject, bearer.object_id, lifetime_seconds) | {
            "name": bearer.name,
            "email": bearer.email,
            "preferred_username": bearer.email,
        }

    def _registered_claims(self, subject: str, object_id: str, lifetime_seconds: int) -> dict[str, Any]:
        now = int(self._clock.now())
        return {
            "iss": self._door.issuer,
            "sub": subject,
            "oid": object_id,
            "tid": self._door.tenant,
            "ver": "2.0",
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_seconds,
            "uti": random_text(16),
        }

    def _signed(self, claims: dict[str, Any], signer: Signer) -> str:
        key = self._keys.current
        match signer:
            case "none":
                return jwt.encode(claims, "", algorithm="none", headers={"kid": key.kid})
            case "confused":
                return _hmac_with_public_key(claims, key.kid, key.public_pem)
            case "foreign":
                key = self._keys.foreign
            case "current":
                pass
        return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid})


def _hmac_with_public_key(claims: dict[str, Any], kid: str, public_pem: bytes) -> str:
    """HS256 with the public key as its secret: a forgery that works on verifiers which trust the header's `alg`.

    By hand, because PyJWT rightly refuses to make one.
    """
    header = {"alg": "HS256", "kid": kid, "typ": "JWT"}
    signing_input = b".".join(_segment(orjson.dumps(part)) for part in (header, claims))
    signature = hmac.new(public_pem, signing_input, hashlib.sha256).digest()
    return (signing_input + b"." + _segment(signature)).decode()


def _segment(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
