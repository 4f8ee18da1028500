"""Access tokens: whose they are, checked against the keys their authority publishes (`authorities.py`).

Checking signatures and claims is PyJWT's work. What a token's header says of keys (`jku`, `x5u`, `jwk`, `x5c`) is never
followed: a token that says such things is refused, as no authority of ours writes any. Extensions that must be
understood (`crit`) PyJWT refuses.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import jwt

from shared.auth.authorities import Authorities, TokenRefused
from shared.auth.permissions import Caller, Role
from shared.kernel.ids import person_id_of

__all__ = ["LEEWAY_SECONDS", "SCOPE", "TokenRefused", "TokenValidator"]

LEEWAY_SECONDS: Final = 60  # clocks differ; RFC 7519 section 4.1.4 allows "usually no more than a few minutes"
SCOPE: Final = "tickets.use"
REMEMBERED_MAX: Final = 10_000
TOKEN_CHARACTERS_MAX: Final = 8_192

# RFC 8725 section 3.11: what else is a JWT (a logout token, a proof of possession) is not taken for an access token.
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEYS_IN_HEADERS: Final = frozenset({"jku", "x5u", "jwk", "x5c"})
# Our own words: the library's repeat what the token says, which may be no text that can be sent or logged.
_WRONG: Final[Mapping[type[jwt.PyJWTError], str]] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "it comes from another issuer",
    jwt.InvalidSignatureError: "its signature is not its issuer's",
    jwt.MissingRequiredClaimError: "it lacks one of the claims exp, iat, sub, aud, iss",
}
_IN_ID_TOKENS: Final = frozenset({"at_hash", "c_hash"})  # OpenID Connect Core 1.0, sections 3.1.3.6 and 3.3.2.11


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token that was checked.

    :param key: that signed it; while its authority publishes it
    :param until: when the token expires, seconds since 1970, leeway included
    """

    caller: Caller
    issuer: str
    kid: str
    key: jwt.PyJWK
    until: float


class TokenValidator:
    """Turns a bearer token into a `Caller`.

    :param authorities: base URLs with discovery documents; the first one's people are the directory's
    :param audience: the `aud` our tokens must carry
    """

    def __init__(self, authorities: Sequence[str], audience: str) -> None:
        self._authorities = Authorities(authorities)
        self._audience = audience
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()

    async def caller(self, token: str, now: datetime) -> Caller:
        """Who the token speaks for.

        A token that was checked is remembered until it expires, or until its authority no longer publishes its key:
        that is noticed within `authorities.FRESH` while the authority answers, within `authorities.KEPT` in any case.

        :raises TokenRefused: malformed, expired, for somebody else, or not signed by a key of its issuer
        :raises DependencyUnavailable: its issuer's keys cannot be had just now
        """
        known = self._remembered.get(token)
        if known is not None and self._holds(known, now):
            return known.caller
        checked = await self._checked(token, now)
        self._remembered[token] = checked
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return checked.caller

    async def ready(self) -> bool:
        """Whether the keys of some authority are known, so that its people can sign in."""
        return await self._authorities.ready()

    def _holds(self, known: _Remembered, now: datetime) -> bool:
        alive = now.timestamp() < known.until
        return alive and self._authorities.known(known.issuer, known.kid, now) is known.key

    async def directory_issuer(self, now: datetime) -> str:
        """The issuer whose people the directory administers: the first authority that is configured.

        :raises DependencyUnavailable: it has never said who it is, and does not answer
        """
        return await self._authorities.first_issuer(now)

    async def _checked(self, token: str, now: datetime) -> _Remembered:
        header, issuer = _read(token)
        kid = str(header.get("kid", ""))
        key = await self._authorities.key(issuer, kid, now)
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
            told = _WRONG.get(type(error), "what it says of itself cannot be accepted")
            raise TokenRefused(f"The token is not valid: {told}.", reason=type(error).__name__) from error
        _refuse_other_kinds(claims)
        caller = _caller_of(claims, first=self._authorities.is_first(issuer, now))
        return _Remembered(caller, issuer, kid, key, float(claims["exp"]) + LEEWAY_SECONDS)


def _read(token: str) -> tuple[Mapping[str, Any], str]:
    """The header and the issuer that a token claims, neither of them proven.

    :raises TokenRefused: it cannot be read, or its header is not one that we accept
    """
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise TokenRefused("The token is too long.", reason="too long")
    try:
        unproven = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise TokenRefused("The token cannot be read.", reason="not a JSON Web Token") from error
    header = unproven["header"]
    if header.get("alg") != "RS256":
        raise TokenRefused("The token is not signed with RS256.", reason="algorithm")
    if not _KEYS_IN_HEADERS.isdisjoint(header):
        raise TokenRefused("The token's header names keys; we follow no such thing.", reason="header")
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise TokenRefused("The token is not an access token.", reason="type")
    return header, str(unproven["payload"].get("iss", ""))


def _refuse_other_kinds(claims: Mapping[str, Any]) -> None:
    """Nothing, for an access token that a person gave an application.

    An ID token can have our audience, where an application and its API are registered as one. `nonce` and `ver` tell
    nothing: B2C writes both into access tokens too. No ID token has a scope.

    :raises TokenRefused: it is another kind of token, or lacks our scope
    """
    if claims.get("token_use", "access") != "access" or not _IN_ID_TOKENS.isdisjoint(claims):
        raise TokenRefused("This is an ID token; send the access token.", reason="ID token")
    if "scp" not in claims and "nonce" in claims:
        raise TokenRefused("This is an ID token; send the access token.", reason="ID token")
    if claims.get("idtyp", "user") != "user":
        raise TokenRefused("The token speaks for an application, and only people have accounts.", reason="application")
    if SCOPE not in str(claims.get("scp", "")).split():
        raise TokenRefused(f"The token lacks the scope {SCOPE}.", reason="scope")


def _caller_of(claims: Mapping[str, Any], *, first: bool) -> Caller:
    """Whom the claims speak of.

    :param first: whether the first authority says so: only its ids are of accounts in our directory, and only its roles
        count. Another one is trusted to know its own people, and neither to name ours nor to appoint admins here.

    The subject is Entra's `oid` where there is one: the same for every application, and the id Graph gives the user;
    `sub` differs between applications there. Elsewhere it is `sub`, which is what OpenID Connect promises.
    """
    named = set(Role)
    given = claims.get("roles") if first else None
    roles = frozenset(Role(role) for role in given if role in named) if isinstance(given, list) else frozenset()
    oid, sub = claims.get("oid"), str(claims["sub"])
    subject = oid if isinstance(oid, str) and oid else sub
    # B2C writes no `oid` unless it is told to: its `sub` is the account's id, a UUID like all of Entra's.
    account = subject if subject is oid or _UUID.fullmatch(sub) else ""
    return Caller(
        person_id=person_id_of(str(claims["iss"]), subject),
        user_id=account if first else "",
        name=str(claims.get("name", ""))[:200],
        email=_address(claims)[:254],
        roles=roles or frozenset({Role.USER}),
    )


def _address(claims: Mapping[str, Any]) -> str:
    """The mail address: `email`, or the first of B2C's `emails`."""
    several = claims.get("emails")
    first = several[0] if isinstance(several, list) and several else ""
    return str(claims.get("email") or first)
