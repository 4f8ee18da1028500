"""Lets a request in or refuses it: the credential it needs, the caller it speaks for, the permission it asks."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shared.auth.permissions import (
    ANONYMOUS,
    Caller,
    Membership,
    Permission,
    PermissionMissing,
    Role,
    may_somewhere,
)
from shared.auth.service_tokens import PREFIX
from shared.auth.tokens import TokenRefused, TokenValidator
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import OrganiserId, PersonId

INSIGHTS_SERVICE: Final = Caller(
    person_id=PersonId(""),
    service="insights",
    scopes=frozenset({Permission.READ_INSIGHTS, Permission.READ_METRICS}),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What we say of a person ourselves, whatever the token says.

    :param memberships: organiser → role there
    :param roles: roles on the platform, once an admin changed them; None: those in the token
    :param disabled: whether the person may do nothing, though a token of theirs is still valid
    :param erased: whether that is because they are, or were, forgotten
    """

    memberships: Mapping[OrganiserId, Membership] = field(default_factory=dict)
    roles: frozenset[Role] | None = None
    disabled: bool = False
    erased: bool = False


type Standings = Callable[[PersonId, datetime], Awaitable[Standing]]
type ServiceCallers = Callable[[str, datetime], Awaitable[Caller]]


class AccountDisabled(DomainError):
    """The person may do nothing here any more."""

    kind = Kind.FORBIDDEN


class AccountErased(DomainError):
    """The person was forgotten; a token of theirs is still valid."""

    kind = Kind.FORBIDDEN


class Gate:
    """Admits callers.

    :param validator: checks people's tokens
    :param standings: looks up what we say of a person
    :param services: looks up a service's key
    :param insights_key: the bearer key of the private insights endpoints, which no person's token opens
    :param anonymous_browsing: whether `BROWSE` needs no sign-in
    """

    def __init__(
        self,
        validator: TokenValidator,
        standings: Standings,
        services: ServiceCallers,
        *,
        insights_key: str,
        anonymous_browsing: bool,
    ) -> None:
        self._validator = validator
        self._standings = standings
        self._services = services
        self._insights_key = insights_key.encode()
        self._anonymous_browsing = anonymous_browsing

    async def admit(self, authorization: str | None, needs: Permission, now: datetime) -> Caller:
        """The caller, if it may ask for `needs` somewhere; which organiser's things it may touch the use case decides.

        :param authorization: the request's `Authorization` header
        :raises TokenRefused: no credential, or not a valid one
        :raises AccountDisabled: a person we let do nothing any more
        :raises AccountErased: somebody who was forgotten
        :raises PermissionMissing: a valid caller without the permission
        """
        if needs is Permission.PUBLIC:
            return replace(ANONYMOUS, asked=set())
        if needs is Permission.BROWSE and self._anonymous_browsing and not authorization:
            return replace(ANONYMOUS, asked=set())
        caller = await self._caller(_bearer(authorization), now)
        if not may_somewhere(caller, needs):
            who = "This key" if caller.service else "Your account"
            raise PermissionMissing(f"{who} may not do this; it needs “{needs}”.", needs=needs.value)
        return caller

    async def _caller(self, token: str, now: datetime) -> Caller:
        if token.startswith(PREFIX):
            return await self._services(token, now)
        if hmac.compare_digest(token.encode(), self._insights_key):
            return replace(INSIGHTS_SERVICE, asked=set())
        said = await self._validator.caller(token, now)
        standing = await self._standings(said.person_id, now)
        if standing.disabled:
            raise _shut_out(standing)
        # Written out: every request passes here, and `dataclasses.replace` takes half as long again.
        return Caller(
            person_id=said.person_id,
            name=said.name,
            email=said.email,
            user_id=said.user_id,
            roles=said.roles if standing.roles is None else standing.roles,
            memberships=standing.memberships,
        )


def _shut_out(standing: Standing) -> DomainError:
    if standing.erased:
        return AccountErased("This account was erased, as its person or an admin asked; what is left of it goes too.")
    return AccountDisabled("This account is disabled; ask the people who run this platform.")


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise TokenRefused("Sign in first: send `Authorization: Bearer <access token>`.", reason="missing")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRefused("The Authorization header must be `Bearer <access token>`.", reason="scheme")
    return token.strip()
