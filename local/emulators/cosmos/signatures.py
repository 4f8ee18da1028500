"""Who asks: the holder of the account's key, or of an Entra token.

https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, unquote

from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.identities import Identities
from local.emulators.cosmos.requests import Asking, moment_in
from shared.kernel.clock import utc_now

SKEW_MAX: Final = timedelta(minutes=15)


class MasterKey:
    """Checks signatures made with the account's primary key.

    :param key: base64, as the portal shows it
    :raises ValueError: it is not base64
    """

    def __init__(self, key: str) -> None:
        self._key = b64decode(key, validate=True)

    def sign(self, *, verb: str, resource: str, link: str, date: str) -> str:
        """The signature of a request, in base64."""
        text = f"{verb.lower()}\n{resource.lower()}\n{link}\n{date.lower()}\n\n"
        return b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).decode()

    def check(self, signature: str, *, verb: str, resource: str, link: str, date: str, now: datetime) -> None:
        """Accept a request that this key signed, now.

        :param link: the resource's name-based address, or its resource id in lower case
        :raises Refused: 401, not signed with this key; 403, its date is more than `SKEW_MAX` away
        """
        wanted = (self.sign(verb=verb, resource=resource, link=variant, date=date) for variant in (link, link.lower()))
        if not any(hmac.compare_digest(signature.encode(), right.encode()) for right in wanted):
            raise Refused(
                401,
                "The input authorization token can't serve the request. The wrong key is being used or the expected "
                f"payload is not built as per the protocol. Server used the following payload to sign: "
                f"'{verb.lower()}\n{resource.lower()}\n{link}\n{date.lower()}\n\n'",
            )
        if abs(_moment(date) - now) > SKEW_MAX:
            raise Refused(403, "The authorization token is not valid at the current time.")


def parse_authorization(header: str) -> tuple[str, str]:
    """The type (`master` or `aad`) and the signature or token of an `Authorization` header.

    :raises Refused: 401, it is none
    """
    parts = dict(parse_qsl(unquote(header).replace("+", "%2B"), keep_blank_values=True))
    if parts.get("ver") != "1.0" or "sig" not in parts or parts.get("type") not in {"master", "aad", "resource"}:
        raise Refused(401, "Authorization header doesn't conform to the required format.")
    return parts["type"], parts["sig"]


def date_of(headers: Mapping[str, str]) -> str:
    """The date a request is signed with.

    :raises Refused: 401, there is none
    """
    date = headers.get("x-ms-date") or headers.get("date")
    if not date:
        raise Refused(401, "The request has neither an x-ms-date nor a date header.")
    return date


def _moment(date: str) -> datetime:
    try:
        return moment_in(date)
    except ValueError:
        raise Refused(401, f"The date {date!r} is not in the format of RFC 1123.") from None


class Gate:
    """Admits requests of somebody known.

    :param key: the account's key; None turns keys off, as `disableLocalAuth` does
    :param identities: whose tokens count; None turns tokens off
    :param now: the clock that dates of signatures are compared with, which is the clients' and not the account's
    """

    def __init__(
        self, key: MasterKey | None, identities: Identities | None = None, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._key = key
        self._identities = identities
        self._now = now

    async def admit(self, asking: Asking) -> None:
        """Accept a request.

        :raises Refused: 401, nobody known; 403, somebody who may not, or a signature out of date
        """
        kind, secret = parse_authorization(asking.headers.get("authorization", ""))
        if kind == "master" and self._key is not None:
            date = date_of(asking.headers)
            verb, resource, link = asking.method, asking.kind, asking.link
            self._key.check(secret, verb=verb, resource=resource, link=link, date=date, now=self._now())
        elif kind == "aad" and self._identities is not None:
            await self._identities.check(secret, asking)
        else:
            raise Refused(401, f"Authorization of type {kind!r} is not enabled for this account.")
