"""The authorities that sign people in: what each may claim, and the keys it publishes.

Authorities are configured by URL only; Entra External ID, Azure AD B2C and the local issuer differ in nothing else
(OpenID Connect Discovery 1.0). The issuer that an authority's document names must be of the host and the tenant that
its URL names (`may_claim`): so no authority can speak for another's people. A document for all tenants at once
(`…/{tenantid}/v2.0`, of `common` and `organizations`) is refused: anybody can have a tenant. Name each by its id.

Keys are fetched again in the background before they are old, and for a key id that is not among them; at most once in a
while, by one question for all who ask. While an authority is away, or answers nonsense, its last good keys stay.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from pydantic import BaseModel

from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable, DomainError, Kind
from shared.telemetry import Log, count

FETCH_SECONDS_MAX: Final = 5.0  # for the discovery document and the keys together
FETCH_BYTES_MAX: Final = 512 * 1024  # of each
REFRESH_INTERVAL: Final = timedelta(seconds=30)  # an unknown `kid` may be a key rotation, or somebody knocking
FAILED_INTERVAL: Final = timedelta(seconds=2)  # an authority that is away is not asked for every request
FRESH: Final = timedelta(minutes=10)  # a key that its authority withdrew is believed for so long, while it answers
KEPT: Final = timedelta(hours=24)  # keys that nobody confirmed for so long are believed no more
WAITING_MAX: Final = 200  # callers who wait for the keys of one authority; more are told to come back
KEYS_MAX: Final = 100
KEY_BITS_MIN: Final = 2048  # NIST SP 800-131A, https://www.rfc-editor.org/rfc/rfc7518#section-3.3

_TENANT: Final = re.compile(r"/(?:tfp/)?([^/{}]+)(?:/.*)?")  # B2C can write its policies' issuers below /tfp/
_CIAM: Final = ".ciamlogin.com"
_log = Log("auth")


class TokenRefused(DomainError):
    """No token, or one that is not valid here; `reason` says what is wrong with it."""

    kind = Kind.UNAUTHENTICATED


class _Discovery(BaseModel):
    """What we read of a discovery document."""

    issuer: str
    jwks_uri: str


class _KeySet(BaseModel):
    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Published:
    """What an authority said when it answered last."""

    issuer: str
    keys: Mapping[str, jwt.PyJWK]
    fetched_at: datetime


def may_claim(authority: str, issuer: str) -> bool:
    """Whether the authority at this URL may say that it is `issuer`.

    It may be exactly its URL; else both are of one scheme and host, and of one tenant: the first part of their paths.
    External ID writes the tenant's id for its name in the host as well.
    """
    if issuer.rstrip("/") == authority:
        return "{" not in issuer
    own, claimed = urlsplit(authority), urlsplit(issuer)
    tenant, other = _TENANT.fullmatch(own.path), _TENANT.fullmatch(claimed.path)
    if own.scheme != claimed.scheme or not tenant or not other or tenant[1].lower() != other[1].lower():
        return False
    hosts = {own.hostname}
    if (own.hostname or "").endswith(_CIAM):
        hosts.add(tenant[1].lower() + _CIAM)
    return claimed.hostname in hosts


def keys_may_be_at(authority: str, uri: str) -> bool:
    """Whether the keys of the authority at this URL may be had there: with as much protection on the way."""
    return urlsplit(uri).scheme == urlsplit(authority).scheme


class Authority:
    """One authority and its keys.

    :param url: with a discovery document below it, and the tenant's id in it where it has tenants
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._published: _Published | None = None
        self._not_before: datetime | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0

    def published(self, now: datetime) -> _Published | None:
        """Its last good answer, if that may still be believed; an older one is fetched anew in the background."""
        found = self._published
        if found is None:
            return None
        age = abs(now - found.fetched_at)  # whichever way somebody sets the clock
        if age > FRESH and not self._paused(now):
            self._begin(now)
        return found if age <= KEPT else None

    async def renew(self, now: datetime) -> None:
        """Ask it again, unless it was asked just now; who comes while it is being asked waits for that answer.

        :raises DependencyUnavailable: `WAITING_MAX` callers are waiting already
        """
        if self._fetching is None and self._paused(now):
            return
        if self._waiting >= WAITING_MAX:
            raise _away()
        self._waiting += 1
        try:
            # One caller's impatience must not end the question that the others wait for.
            await asyncio.shield(self._fetching or self._begin(now))
        finally:
            self._waiting -= 1

    def _paused(self, now: datetime) -> bool:
        # A clock that was set back does not keep us from asking.
        return self._not_before is not None and timedelta() < self._not_before - now <= REFRESH_INTERVAL

    def _begin(self, now: datetime) -> "asyncio.Task[None]":
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch(now))
            self._fetching.add_done_callback(self._ended)
        return self._fetching

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._fetching = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("authority_unreadable", error=error, authority=self.url)

    async def _fetch(self, now: datetime) -> None:
        """Fetch its issuer name and keys; while it is down, or tells nonsense, what it said last stays."""
        import httpx

        self._not_before = now + FAILED_INTERVAL
        try:
            async with asyncio.timeout(FETCH_SECONDS_MAX), httpx.AsyncClient(timeout=FETCH_SECONDS_MAX) as http:
                said = _Discovery.model_validate_json(await _get(http, f"{self.url}/.well-known/openid-configuration"))
                self._refuse_nonsense(said)
                keys = _keys_of(await _get(http, said.jwks_uri), self._published.keys if self._published else {})
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            count("authority_failures")
            _log.warning("authority_unreachable", authority=self.url, reason=repr(error)[:500])
            return
        self._published = _Published(said.issuer, keys, now)
        self._not_before = now + REFRESH_INTERVAL

    def _refuse_nonsense(self, said: _Discovery) -> None:
        if not may_claim(self.url, said.issuer):
            raise ValueError(f"it may not claim to be {said.issuer!r}; its URL needs the tenant's id")
        if not keys_may_be_at(self.url, said.jwks_uri):
            raise ValueError("its keys are not to be had in the way it is itself")


class Authorities:
    """All configured authorities, and who of them may have signed a token.

    :param urls: one for each
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._all = tuple(Authority(url.rstrip("/")) for url in dict.fromkeys(urls))

    async def key(self, issuer: str, kid: str, now: datetime) -> jwt.PyJWK:
        """The key that `issuer` publishes as `kid`.

        Several authorities may be one issuer: the user flows of one B2C tenant.

        :raises TokenRefused: no authority may claim this issuer, or it publishes no such key
        :raises DependencyUnavailable: its keys cannot be had just now
        """
        candidates = [authority for authority in self._all if may_claim(authority.url, issuer)]
        if not candidates:
            raise TokenRefused("The token comes from an issuer we do not know.", reason="issuer")
        if (found := _among(candidates, issuer, kid, now)) is not None:
            return found
        await asyncio.gather(*(authority.renew(now) for authority in candidates))
        if (found := _among(candidates, issuer, kid, now)) is not None:
            return found
        if any(authority.published(now) is None for authority in candidates):
            raise _away()
        raise TokenRefused("The token is signed by a key its issuer does not publish.", reason="key")

    def known(self, issuer: str, kid: str, now: datetime) -> jwt.PyJWK | None:
        """The key, if we have it; nobody is waited for."""
        return _among(self._all, issuer, kid, now)

    async def first_issuer(self, now: datetime) -> str:
        """Who the first of them says it is.

        :raises DependencyUnavailable: it has not said so lately, and does not answer
        """
        first = self._all[0]
        if (published := first.published(now)) is None:
            await first.renew(now)
            if (published := first.published(now)) is None:
                raise _away()
        return published.issuer

    def is_first(self, issuer: str, now: datetime) -> bool:
        """Whether the issuer is the first of them, as it last said; nobody is waited for."""
        published = self._all[0].published(now)
        return published is not None and published.issuer == issuer

    async def ready(self) -> bool:
        """Whether anybody can sign in: the keys of one authority are known; fetches those that are not."""
        now = utc_now()
        missing = [authority for authority in self._all if authority.published(now) is None]
        await asyncio.gather(*(authority.renew(now) for authority in missing))
        return any(authority.published(now) is not None for authority in self._all)


def _among(authorities: Sequence[Authority], issuer: str, kid: str, now: datetime) -> jwt.PyJWK | None:
    for authority in authorities:
        published = authority.published(now)
        if published is not None and published.issuer == issuer and (key := published.keys.get(kid)) is not None:
            return key
    return None


def _away() -> DependencyUnavailable:
    return DependencyUnavailable("The sign-in service does not answer; try again shortly.")


async def _get(http: Any, url: str) -> bytes:
    """The body of a 2xx answer, redirects not followed.

    :raises ValueError: it is larger than `FETCH_BYTES_MAX`
    """
    body = bytearray()
    async with http.stream("GET", url) as answer:
        answer.raise_for_status()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > FETCH_BYTES_MAX:
                raise ValueError("its answer is too large")
    return bytes(body)


def _keys_of(body: bytes, before: Mapping[str, jwt.PyJWK]) -> Mapping[str, jwt.PyJWK]:
    """The RSA keys that sign, by id; one that cannot be read is left out.

    :param before: a key that is still the same stays the same object, by which remembered tokens know it
    :raises ValueError: there is none
    """
    found: dict[str, jwt.PyJWK] = {}
    for key in _KeySet.model_validate_json(body).keys[:KEYS_MAX]:
        kid = key.get("kid")
        if key.get("kty") != "RSA" or key.get("use", "sig") != "sig" or not isinstance(kid, str):
            continue
        try:
            read = jwt.PyJWK.from_dict({**key, "alg": "RS256"}, algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            _log.warning("key_unreadable", kid=kid[:100], reason=repr(error)[:200])
            continue
        if read.key.key_size >= KEY_BITS_MIN:
            found[kid] = before[kid] if kid in before and _same(before[kid], read) else read
    if not found:
        raise ValueError("it publishes no key that signs with RS256")
    return found


def _same(one: jwt.PyJWK, other: jwt.PyJWK) -> bool:
    same: bool = one.key.public_numbers() == other.key.public_numbers()
    return same
