"""An authority of the tests' own: throw-away keys, a discovery document, and tokens of any kind."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from azure.core.credentials import AccessToken
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.emulators.cosmos.identities import AUDIENCE
from local.emulators.serving import served

PRINCIPAL = "11111111-2222-3333-4444-555555555555"
ISSUER = "https://issuer.example/v2.0"


def new_key() -> RSAPrivateKey:
    """A key nobody else has."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Authority:
    """Signs tokens; as a credential it hands one to the SDK, and notes for which scopes it was asked."""

    url: str = ""
    key: RSAPrivateKey = field(default_factory=new_key)
    scopes: list[str] = field(default_factory=list)

    def token(self, *, key: RSAPrivateKey | None = None, algorithm: str = "RS256", **claims: Any) -> str:
        """A token that is valid but for `claims`."""
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "oid": PRINCIPAL, "iat": now, "exp": now + 600}
        signer = "" if algorithm == "none" else key or self.key
        return jwt.encode({**good, **claims}, signer, algorithm=algorithm, headers={"kid": "one"})

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """As the SDK asks for it."""
        self.scopes += scopes
        return AccessToken(self.token(), int(time.time()) + 600)

    async def close(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "Authority":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


@asynccontextmanager
async def authority() -> AsyncIterator[Authority]:
    """A running authority."""
    found = Authority()
    public = {**jwt.algorithms.RSAAlgorithm.to_jwk(found.key.public_key(), as_dict=True), "kid": "one"}

    async def discovery(_: Request) -> Response:
        return JSONResponse({"issuer": ISSUER, "jwks_uri": f"{found.url}/keys"})

    async def keys(_: Request) -> Response:
        return JSONResponse({"keys": [public]})

    routes = [Route("/.well-known/openid-configuration", discovery), Route("/keys", keys)]
    async with served(Starlette(routes=routes)) as url:
        found.url = url
        yield found
