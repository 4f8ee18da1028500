"""Entra tokens: whose they are, checked against the keys their authority publishes.

A token is one for Cosmos DB if its audience is the service's or the account's own address. What its bearer may do is a
role assignment; here there is one role, all that a data-plane role can give, for every principal that is named. No such
role can make or remove databases and containers.
https://learn.microsoft.com/azure/cosmos-db/how-to-connect-role-based-access-control
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import jwt

from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.requests import Asking

AUDIENCE: Final = "https://cosmos.azure.com"
NOT_AUTHORIZED: Final = 5300  # the substatus of a request that no role assignment covers
_FETCH_SECONDS_MAX: Final = 5.0
_FETCH_EVERY_SECONDS: Final = 2.0  # an unknown key may be a new one, or somebody knocking
_LEEWAY_SECONDS: Final = 60


class Identities:
    """Checks tokens of one authority.

    :param authority: the base address of its discovery document
    :param audiences: what a token may be meant for
    :param principals: object ids that have a role assignment
    :param verify: a CA file for an authority of one's own, or True
    """

    def __init__(
        self, authority: str, *, audiences: Sequence[str], principals: Sequence[str], verify: Any = True
    ) -> None:
        self._authority = authority.rstrip("/")
        self._audiences = [text for given in audiences for text in (given.rstrip("/"), given.rstrip("/") + "/")]
        self._principals = frozenset(principals)
        self._verify = verify
        self._issuer = ""
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")

    async def check(self, token: str, asking: Asking) -> None:
        """Accept a request of somebody who may make it.

        :raises Refused: 401, not a valid token; 403, no role assignment covers the request; 503, no keys to check with
        """
        claims = await self._claims(token)
        principal = str(claims.get("oid", ""))
        if principal not in self._principals:
            raise Refused(
                403,
                f"Request is blocked because principal [{principal}] does not have required RBAC permissions.",
                substatus=NOT_AUTHORIZED,
            )
        if asking.kind in {"dbs", "colls"} and asking.method != "GET":
            raise Refused(
                403,
                "Request blocked by Auth: no data-plane role can change databases and containers.",
                substatus=NOT_AUTHORIZED,
            )

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise Refused(401, "The token cannot be read.") from error
        key = await self._key(str(header.get("kid", "")))
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audiences,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise Refused(401, f"The token is not valid: {error}.") from error
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK:
        if kid not in self._keys and time.monotonic() - self._fetched_at > _FETCH_EVERY_SECONDS:
            await self._fetch()
        if kid not in self._keys:
            raise Refused(401, "The token is signed by a key its issuer does not publish.")
        return self._keys[kid]

    async def _fetch(self) -> None:
        self._fetched_at = time.monotonic()
        try:
            async with httpx.AsyncClient(timeout=_FETCH_SECONDS_MAX, verify=self._verify) as http:
                address = f"{self._authority}/.well-known/openid-configuration"
                discovery = (await http.get(address)).raise_for_status().json()
                keys = (await http.get(discovery["jwks_uri"])).raise_for_status().json()
            found = {key["kid"]: jwt.PyJWK.from_dict(key, algorithm="RS256") for key in keys["keys"]}
            self._issuer = str(discovery["issuer"])
        except (httpx.HTTPError, ValueError, LookupError, jwt.PyJWTError) as error:
            raise Refused(503, f"The authority's keys cannot be had: {error!r}.") from error
        self._keys = found
