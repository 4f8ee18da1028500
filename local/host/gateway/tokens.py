"""The check behind `validate-jwt`: PyJWT's, with the keys that authorities publish.

The functions check again, and more (`shared/auth`): the gateway keeps out what is plainly not ours.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import jwt

from local.host.gateway.context import ProxyError, Token
from shared.auth.authorities import Authorities
from shared.auth.tokens import TokenRefused
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable

REMEMBERED_MAX: Final = 10_000
REMEMBERED_SECONDS: Final = 60.0  # after which a token is checked again: its key may be withdrawn
TOKEN_CHARACTERS_MAX: Final = 8_192
_SOURCE: Final = "validate-jwt"
# Our own words: the library's repeat what the token's header says, which may be no text that can be sent or logged.
_REASONS: Final = {
    jwt.ExpiredSignatureError: ("TokenExpired", "JWT has expired."),
    jwt.ImmatureSignatureError: ("TokenNotYetValid", "JWT is not valid yet."),
    jwt.InvalidAudienceError: ("TokenAudienceNotAllowed", "JWT is for another audience."),
    jwt.InvalidIssuerError: ("TokenIssuerNotAllowed", "JWT comes from another issuer."),
    jwt.InvalidSignatureError: ("TokenSignatureInvalid", "JWT has a signature that is not its issuer's."),
    jwt.InvalidAlgorithmError: ("JwtInvalid", "JWT is not signed with one of RS256, RS512, PS256."),
    jwt.MissingRequiredClaimError: ("JwtInvalid", "JWT lacks one of the claims exp, iss, aud."),
}
_UNREADABLE: Final = ("JwtInvalid", "JWT cannot be read.")


@dataclass(frozen=True, slots=True)
class RequiredClaim:
    """A claim that must be there, with all of these values, or any.

    :param separator: between the values of a claim that is one text
    """

    name: str
    values: frozenset[str]
    any_of_them: bool
    separator: str


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What `validate-jwt` asks of a token.

    :param authorities: URLs of the authorities whose keys are believed
    :param status: of a refusal
    :param message: of a refusal; empty: what was wrong
    """

    authorities: tuple[str, ...]
    audiences: tuple[str, ...]
    required: tuple[RequiredClaim, ...]
    clock_skew: int
    status: int
    message: str


class TokenCheck:
    """Checks bearer tokens, and remembers for a while which were good."""

    def __init__(self, rules: TokenRules) -> None:
        self._rules = rules
        self._keys = Authorities(rules.authorities)
        self._remembered: OrderedDict[str, tuple[float, Token]] = OrderedDict()

    def remembered(self, token: str, now: float) -> Token | None:
        """A token that was good lately and is not over.

        :param now: seconds since 1970
        """
        known = self._remembered.get(token)
        return known[1] if known is not None and now < known[0] else None

    async def check(self, token: str) -> Token:
        """What an acceptable token says.

        :raises ProxyError: it is not acceptable, or keys cannot be had just now
        """
        claims = await self._claims(token)
        for required in self._rules.required:
            self._require(required, claims)
        good = Token(str(claims["iss"]), str(claims.get("sub", "")))
        now = time.time()
        self._remembered[token] = (min(float(claims["exp"]) + self._rules.clock_skew, now + REMEMBERED_SECONDS), good)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return good

    def refusal(self, reason: str, message: str) -> ProxyError:
        """A refusal as the policy words it."""
        return ProxyError(_SOURCE, reason, self._rules.message or message, status=self._rules.status)

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise self.refusal("JwtInvalid", "The token is too long. Access denied.")
        try:
            unproven = jwt.decode_complete(token, options={"verify_signature": False})
            header, issuer = unproven["header"], str(unproven["payload"].get("iss", ""))
            if str(header.get("alg")) not in {"RS256", "RS512", "PS256"}:
                raise jwt.InvalidAlgorithmError
            key = await self._key(issuer, header.get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token, key.key, algorithms=[header["alg"]], audience=self._rules.audiences, issuer=issuer,
                leeway=self._rules.clock_skew, options={"require": ["exp", "iss", "aud"]},
            )  # fmt: skip
        except (jwt.PyJWTError, RecursionError) as error:
            reason, told = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), _UNREADABLE)
            raise self.refusal(reason, f"{told} Access denied.") from error
        return claims

    async def _key(self, issuer: str, kid: object) -> jwt.PyJWK:
        """The only place where the product's own knowledge of authorities is used."""
        try:
            return await self._keys.key(issuer, str(kid), utc_now())
        except DependencyUnavailable as error:
            raise ProxyError(_SOURCE, "KeysUnavailable", error.detail, status=503) from error
        except TokenRefused as error:
            reason = "TokenIssuerNotAllowed" if error.facts.get("reason") == "issuer" else "TokenSignatureKeyNotFound"
            raise self.refusal(reason, f"{error.detail} Access denied.") from error

    def _require(self, required: RequiredClaim, claims: dict[str, Any]) -> None:
        if required.name not in claims:
            raise self.refusal(
                "TokenClaimNotFound", f"JWT token is missing the following claims: {required.name}. Access denied."
            )
        found = _values(claims[required.name], required.separator)
        good = not required.values.isdisjoint(found) if required.any_of_them else required.values <= found
        if not good:
            raise self.refusal("TokenClaimValueNotAllowed", f"Claim {required.name} is not allowed. Access denied.")


def _values(claim: object, separator: str) -> set[str]:
    if isinstance(claim, list):
        return {str(each) for each in claim}
    return set(str(claim).split(separator)) if separator else {str(claim)}
