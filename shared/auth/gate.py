"""Lets a request in or refuses it: the credential it needs, the caller it speaks for, the permission it asks."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from shared.auth.permissions import (
    ANONYMOUS,
    ORGANISER_SCOPED,
    Caller,
    Membership,
    Permission,
    PermissionMissing,
    may_somewhere,
)
from shared.auth.tokens import TokenRefused, TokenValidator
from shared.kernel.ids import OrganiserId, PersonId

type Memberships = Callable[[PersonId, datetime], Awaitable[Mapping[OrganiserId, Membership]]]

# An order may be a sale at the desk, and what is looked at may be a draft: the use case asks for the organiser.
_ASKS_LATER: Final = frozenset({Permission.BUY, Permission.BROWSE})
INSIGHTS_SERVICE: Final = Caller(person_id=PersonId(""), service="insights")


class Gate:
    """Admits callers.

    :param validator: checks people's tokens
    :param memberships: looks up a person's organisers
    :param insights_key: the bearer key of the private insights endpoints, which no person's token opens
    :param anonymous_browsing: whether `BROWSE` needs no sign-in
    """

    def __init__(
        self, validator: TokenValidator, memberships: Memberships, *, insights_key: str, anonymous_browsing: bool
    ) -> None:
        self._validator = validator
        self._memberships = memberships
        self._insights_key = insights_key.encode()
        self._anonymous_browsing = anonymous_browsing

    async def admit(self, authorization: str | None, needs: Permission, now: datetime) -> Caller:
        """The caller, if it may ask for `needs` somewhere; which organiser's things it may touch the use case decides.

        :param authorization: the request's `Authorization` header
        :raises TokenRefused: no credential, or not a valid one
        :raises PermissionMissing: a valid caller without the permission
        """
        if needs is Permission.PUBLIC:
            return ANONYMOUS
        if needs is Permission.BROWSE and self._anonymous_browsing and not authorization:
            return ANONYMOUS
        token = _bearer(authorization)
        if needs is Permission.READ_INSIGHTS:
            return self._service(token)
        caller = await self._validator.caller(token, now)
        if needs in ORGANISER_SCOPED or needs in _ASKS_LATER:
            caller = replace(caller, memberships=await self._memberships(caller.person_id, now))
        if not may_somewhere(caller, needs):
            raise PermissionMissing(f"Your account may not do this; it needs “{needs}”.", needs=needs.value)
        return caller

    def _service(self, token: str) -> Caller:
        if not hmac.compare_digest(token.encode(), self._insights_key):
            raise TokenRefused("This endpoint wants the insights key as its bearer token.", reason="key")
        return INSIGHTS_SERVICE


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise TokenRefused("Sign in first: send `Authorization: Bearer <access token>`.", reason="missing")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRefused("The Authorization header must be `Bearer <access token>`.", reason="scheme")
    return token.strip()
