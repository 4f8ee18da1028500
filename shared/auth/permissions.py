"""Who may do what: one table of permissions, and the one function that answers.

A person has roles on the platform (from the token) and memberships of organisers (from our store). A permission that
concerns an organiser is answered for that organiser; nothing of another organiser is visible, not even its existence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from shared.kernel.errors import DomainError, Kind, NotFound
from shared.kernel.ids import OrganiserId, PersonId


@unique
class Permission(StrEnum):
    """What an endpoint asks for. `PUBLIC` asks for nothing and is written out."""

    PUBLIC = "public"
    BROWSE = "browse"
    BUY = "buy"
    CREATE_ORGANISER = "create-organiser"
    MANAGE_MEMBERS = "manage-members"
    MANAGE_EVENTS = "manage-events"
    SELL_AT_DESK = "sell-at-desk"
    READ_ORDERS = "read-orders"
    REFUND = "refund"
    CHECK_IN = "check-in"
    OPERATE = "operate"
    READ_INSIGHTS = "read-insights"


@unique
class Role(StrEnum):
    """Roles on the platform, as the token's `roles` claim names them."""

    ADMIN = "admin"
    CREATOR = "creator"
    OPERATOR = "operator"
    USER = "user"


@unique
class Membership(StrEnum):
    """Roles within one organiser."""

    OWNER = "owner"
    CREATOR = "creator"
    OPERATOR = "operator"


_EVERYONE = {Permission.PUBLIC, Permission.BROWSE, Permission.BUY}
_DOOR = {Permission.SELL_AT_DESK, Permission.READ_ORDERS, Permission.REFUND, Permission.CHECK_IN}

ON_PLATFORM: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.USER: frozenset(_EVERYONE),
    Role.CREATOR: frozenset(_EVERYONE | {Permission.CREATE_ORGANISER}),
    Role.OPERATOR: frozenset(_EVERYONE),  # what an operator may do is a matter of the organisers they work for
    Role.ADMIN: frozenset(set(Permission) - {Permission.READ_INSIGHTS}),
}
IN_ORGANISER: Final[Mapping[Membership, frozenset[Permission]]] = {
    Membership.OPERATOR: frozenset(_DOOR),
    Membership.CREATOR: frozenset({Permission.MANAGE_EVENTS, Permission.READ_ORDERS}),
    Membership.OWNER: frozenset(_DOOR | {Permission.MANAGE_EVENTS, Permission.MANAGE_MEMBERS}),
}
ORGANISER_SCOPED: Final[frozenset[Permission]] = frozenset().union(*IN_ORGANISER.values())


class PermissionMissing(DomainError):
    """The caller is known but has not the permission; `needs` names it."""

    kind = Kind.FORBIDDEN


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling.

    :param person_id: derived from issuer and subject; empty for an anonymous caller or a service
    :param memberships: organiser → role there; filled only where the endpoint's permission concerns an organiser
    """

    person_id: PersonId
    name: str = ""
    email: str = ""
    roles: frozenset[Role] = frozenset()
    memberships: Mapping[OrganiserId, Membership] = field(default_factory=dict)
    service: str = ""


ANONYMOUS: Final = Caller(person_id=PersonId(""))


def may(caller: Caller, permission: Permission, organiser: OrganiserId | None = None) -> bool:
    """Whether `caller` has `permission`, on the platform or in `organiser`."""
    if permission is Permission.PUBLIC:
        return True
    if any(permission in ON_PLATFORM[role] for role in caller.roles):
        return True
    membership = caller.memberships.get(organiser) if organiser else None
    return membership is not None and permission in IN_ORGANISER[membership]


def may_somewhere(caller: Caller, permission: Permission) -> bool:
    """Whether `caller` has `permission` for at least one organiser: all an endpoint can ask before it reads."""
    return may(caller, permission) or any(permission in IN_ORGANISER[role] for role in caller.memberships.values())


def require(caller: Caller, permission: Permission, organiser: OrganiserId, *, what: str) -> None:
    """Let the call go on only if `caller` may do this for `organiser`.

    :param what: the thing asked for, as the refusal names it, e.g. `event evt_…`
    :raises NotFound: it may not; a foreign thing looks exactly like one that does not exist
    """
    if not may(caller, permission, organiser):
        raise NotFound(f"There is no {what}.")
