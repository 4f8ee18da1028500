"""Authorities that sign whatever they are told, on loopback: tenants of one host, told to misbehave by the test."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.serving import served

AUDIENCE: Final = "api://tessera"


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """The private key that goes by this name in all tests: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=1024 if name.startswith("short") else 2048)


def jwk(name: str, **changes: Any) -> dict[str, Any]:
    """Its public half, as it is published."""
    return {**json.loads(RSAAlgorithm.to_jwk(key(name).public_key())), "kid": name, "use": "sig", **changes}


@dataclass
class Tenant:
    """One authority of the host.

    :param claims: to be this issuer; empty: its own URL
    :param instead: the whole answer to a request for its keys
    :param silent: it takes requests and answers none
    :param asked: requests for its document or its keys so far
    """

    url: str
    claims: str = ""
    keys: list[dict[str, Any]] = field(default_factory=list)
    instead: Response | None = None
    jwks_uri: str = ""
    silent: bool = False
    down: bool = False
    asked: int = 0

    @property
    def issuer(self) -> str:
        """Who it says it is."""
        return self.claims or self.url

    def token(self, signed_by: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is right in every point, but for `header` and `claims`; a claim of None is left out."""
        now = int(time.time())
        right = {
            "iss": self.issuer, "sub": "sub-1", "oid": "oid-1", "aud": AUDIENCE, "scp": "tickets.use", "iat": now,
            "nbf": now, "exp": now + 3600, "name": "Uma", "email": "uma@tessera.example", "roles": ["user"],
        }  # fmt: skip
        wanted = {name: value for name, value in {**right, **claims}.items() if value is not None}
        headers = {name: value for name, value in {"kid": signed_by, **(header or {})}.items() if value is not None}
        return jwt.encode(wanted, key(signed_by), "RS256", headers)


@dataclass
class Tenants:
    """The host."""

    address: str = ""
    there: dict[str, Tenant] = field(default_factory=dict)
    strays: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def tenant(self, name: str, *keys: str) -> Tenant:
        """A new tenant that publishes these keys."""
        made = Tenant(f"{self.address}/{name}/v2.0", keys=[jwk(each) for each in keys])
        self.there[name] = made
        return made

    async def answer(self, request: Request) -> Response:
        """Whatever the tenant does at present."""
        tenant = self.there.get(request.path_params["tenant"])
        if tenant is None:
            self.strays += 1
            return Response(status_code=404)
        tenant.asked += 1
        if tenant.silent:
            await self.over.wait()
        if tenant.down:
            return Response(status_code=503)
        if request.url.path.endswith("openid-configuration"):
            uri = tenant.jwks_uri or f"{tenant.url}/keys"
            return Response(json.dumps({"issuer": tenant.issuer, "jwks_uri": uri}))
        return tenant.instead or Response(json.dumps({"keys": tenant.keys}))


@asynccontextmanager
async def tenants() -> AsyncIterator[Tenants]:
    """A host of tenants for as long as the block lasts."""
    host = Tenants()
    app = Starlette(routes=[Route("/{tenant}/{rest:path}", host.answer)])
    async with served(app) as address:
        host.address = address
        try:
            yield host
        finally:
            host.over.set()
