"""Who may use an entity: shared access signatures and Entra's tokens, as clients put them on `$cbs`.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#claims-based-authorization
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas#generate-a-shared-access-signature-token
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

import jwt

from local.emulators.servicebus.addresses import path_of

SAS_TYPE = "servicebus.windows.net:sastoken"
JWT_TYPE = "jwt"
_SAS_SCHEME = "SharedAccessSignature "
AUDIENCES = ("https://servicebus.azure.net", "https://servicebus.azure.net/")


class TokenRefused(Exception):
    """A token that grants nothing, and why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whose tokens are taken.

    :param issuer: the `iss` they carry
    :param keys: its public keys, a JSON Web Key Set
    """

    issuer: str
    keys: jwt.PyJWKSet


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is checked of tokens.

    :param key: the shared access key
    :param key_name: the policy it belongs to
    """

    key: str = field(repr=False)
    key_name: str = "RootManageSharedAccessKey"
    authority: Authority | None = None

    def check(self, kind: str, token: str, audience: str, now: datetime) -> datetime:
        """Until when a token grants the use of what `audience` names.

        :raises TokenRefused: it grants nothing
        """
        if kind not in {SAS_TYPE, JWT_TYPE}:
            raise TokenRefused(f"Tokens of type {kind!r} are not taken.")
        # The SDK (azure-servicebus 7.15) puts signatures under the type `jwt` too, so the token itself decides.
        if token.startswith(_SAS_SCHEME):
            return self._signature(token.removeprefix(_SAS_SCHEME), audience, now)
        return self._claims(token)

    def _signature(self, token: str, audience: str, now: datetime) -> datetime:
        parts = _parts(token)
        signed = f"{parts['sr']}\n{parts['se']}".encode()
        expected = base64.b64encode(hmac.new(self.key.encode(), signed, hashlib.sha256).digest())
        if not hmac.compare_digest(expected, unquote(parts["sig"]).encode()) or parts["skn"] != self.key_name:
            raise TokenRefused("The signature is not of this namespace's key.")
        resource = path_of(unquote(parts["sr"]))
        if not covers(resource, path_of(audience)):
            raise TokenRefused(f"The token is for {resource!r}, not for {path_of(audience)!r}.")
        try:
            expiry = datetime.fromtimestamp(int(parts["se"]), UTC)
        except (ValueError, OverflowError, OSError):
            raise TokenRefused("The token's expiry is no moment.") from None
        if expiry <= now:
            raise TokenRefused(f"The token expired at {expiry.isoformat()}.")
        return expiry

    def _claims(self, token: str) -> datetime:
        if self.authority is None:
            raise TokenRefused("Entra's tokens are not taken: no authority is configured.")
        try:
            key = self.authority.keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=AUDIENCES,
                issuer=self.authority.issuer,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, KeyError) as error:
            raise TokenRefused(f"The token is refused: {error}") from error
        return datetime.fromtimestamp(int(claims["exp"]), UTC)


def covers(granted: str, path: str) -> bool:
    """Whether a grant for `granted` reaches `path`: itself, what lies below it, or everything."""
    return granted in {"", path} or path.startswith(f"{granted}/")


def granted(grants: Mapping[str, datetime], path: str, now: datetime) -> bool:
    """Whether any grant that has not expired reaches `path`."""
    return any(covers(each, path) and until > now for each, until in grants.items())


def _parts(query: str) -> Mapping[str, str]:
    """The parts as they are written: the resource is signed with its escapes."""
    parts = dict(each.partition("=")[::2] for each in query.split("&"))
    missing = [name for name in ("sr", "sig", "se", "skn") if name not in parts]
    if missing:
        raise TokenRefused(f"The SAS token lacks {', '.join(missing)}.")
    return parts
