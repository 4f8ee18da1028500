"""Access tokens: whose they are, checked against the keys their authority publishes.

Authorities are configured by URL only; Entra External ID, Azure AD B2C and the local issuer differ in nothing else
(OpenID Connect Discovery 1.0). Checking signatures and claims is PyJWT's work.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import jwt

from shared.auth.permissions import Caller, Role
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable, DomainError, Kind
from shared.kernel.ids import person_id_of
from shared.telemetry import Log

LEEWAY_SECONDS: Final = 60  # clocks differ; RFC 7519 section 4.1.4 allows "usually no more than a few minutes"
SCOPE: Final = "tickets.use"
REFRESH_INTERVAL: Final = timedelta(seconds=30)  # an unknown `kid` may be a key rotation, or somebody knocking
FAILED_INTERVAL: Final = timedelta(seconds=2)  # an authority that is away is not asked for every request
FETCH_SECONDS_MAX: Final = 5.0  # for the discovery document and the keys together
CACHED_TOKENS_MAX: Final = 10_000
TOKEN_CHARACTERS_MAX: Final = 8_192

_log = Log("auth")


class TokenRefused(DomainError):
    """No token, or one that is not valid here; `reason` says what is wrong with it."""

    kind = Kind.UNAUTHENTICATED


@dataclass(slots=True)
class _Authority:
    url: str
    issuer: str
    keys: Mapping[str, jwt.PyJWK]
    fetched_at: datetime


class TokenValidator:
    """Turns a bearer token into a `Caller`.

    :param authorities: base URLs with discovery documents
    :param audience: the `aud` our tokens must carry
    """

    def __init__(self, authorities: Sequence[str], audience: str) -> None:
        self._urls = tuple(url.rstrip("/") for url in authorities)
        self._audience = audience
        self._by_issuer: dict[str, _Authority] = {}
        self._not_before: dict[str, datetime] = {}
        self._fetching = asyncio.Lock()
        self._fetches: Counter[str] = Counter()
        self._seen: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    async def caller(self, token: str, now: datetime) -> Caller:
        """Who the token speaks for.

        A token whose signature was checked once is remembered until it expires: the check costs 60 µs, the rest 2 µs.

        :raises TokenRefused: malformed, expired, for somebody else, or not signed by a key of its issuer
        :raises DependencyUnavailable: its issuer's keys cannot be had just now
        """
        seen = self._seen.get(token)
        if seen is not None and now.timestamp() < seen[1] + LEEWAY_SECONDS:
            return seen[0]
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TokenRefused("The token is too long.", reason="too long")
        claims = await self._claims(token, now)
        caller = _caller_of(claims)
        self._seen[token] = (caller, float(claims["exp"]))
        if len(self._seen) > CACHED_TOKENS_MAX:
            self._seen.popitem(last=False)
        return caller

    async def ready(self) -> bool:
        """Whether every authority's keys are known; fetches those that are not."""
        for url in self._urls:
            if not any(authority.url == url for authority in self._by_issuer.values()):
                await self._fetch(url, utc_now())
        return len(self._by_issuer) >= len(self._urls)

    async def _claims(self, token: str, now: datetime) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
        except jwt.PyJWTError as error:
            raise TokenRefused("The token cannot be read.", reason="not a JSON Web Token") from error
        if header.get("alg") != "RS256":
            raise TokenRefused("The token is not signed with RS256.", reason="algorithm")
        key = await self._key(issuer, str(header.get("kid", "")), now)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(f"The token is not valid: {error}.", reason=type(error).__name__) from error
        if SCOPE not in str(claims.get("scp", "")).split():
            raise TokenRefused(f"The token lacks the scope {SCOPE}.", reason="scope")
        return claims

    async def _key(self, issuer: str, kid: str, now: datetime) -> jwt.PyJWK:
        if issuer not in self._by_issuer:
            await self.ready()
        authority = self._by_issuer.get(issuer)
        if authority is None:
            if len(self._by_issuer) < len(self._urls):
                raise DependencyUnavailable("The sign-in service does not answer; try again shortly.")
            raise TokenRefused("The token comes from an issuer we do not know.", reason="issuer")
        if kid not in authority.keys and now - authority.fetched_at > REFRESH_INTERVAL:
            await self._fetch(authority.url, now)
            authority = self._by_issuer[issuer]
        key = authority.keys.get(kid)
        if key is None:
            raise TokenRefused("The token is signed by a key its issuer does not publish.", reason="key")
        return key

    async def _fetch(self, url: str, now: datetime) -> None:
        """Fetch an authority's issuer name and keys; while it is down the last good ones stay."""
        import httpx

        before = self._fetches[url]
        async with self._fetching:
            # Whoever waited for somebody's fetch has its result: a slow authority must not be asked in a long queue.
            if self._fetches[url] != before or now < self._not_before.get(url, now):
                return
            self._not_before[url] = now + FAILED_INTERVAL
            try:
                async with asyncio.timeout(FETCH_SECONDS_MAX), httpx.AsyncClient(timeout=FETCH_SECONDS_MAX) as http:
                    discovery = (await http.get(f"{url}/.well-known/openid-configuration")).raise_for_status().json()
                    keys = (await http.get(discovery["jwks_uri"])).raise_for_status().json()
                authority = _Authority(url, str(discovery["issuer"]), _keys_of(keys), now)
            except (httpx.HTTPError, TimeoutError, ValueError, LookupError, TypeError, jwt.PyJWTError) as error:
                _log.warning("authority_unreachable", authority=url, reason=repr(error))
                return
            finally:
                self._fetches[url] += 1
            self._by_issuer[authority.issuer] = authority
            self._not_before[url] = now + REFRESH_INTERVAL


def _keys_of(jwks: Mapping[str, Any]) -> Mapping[str, jwt.PyJWK]:
    signing = [key for key in jwks["keys"] if key.get("kty") == "RSA" and key.get("use", "sig") == "sig"]
    return {key["kid"]: jwt.PyJWK.from_dict(key, algorithm="RS256") for key in signing}


def _caller_of(claims: Mapping[str, Any]) -> Caller:
    named = set(Role)
    roles = frozenset(Role(role) for role in claims.get("roles", ()) if role in named)
    return Caller(
        person_id=person_id_of(str(claims["iss"]), str(claims["sub"])),
        name=str(claims.get("name", ""))[:200],
        email=str(claims.get("email", ""))[:254],
        roles=roles or frozenset({Role.USER}),
    )
