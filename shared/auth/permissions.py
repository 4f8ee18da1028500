"""Who may do what: one table, and the functions that answer from it.

A person has roles on the platform and roles in organisers they belong to; a service key has what it was made for. What
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
    OWN_ACCOUNT = "own-account"
    CREATE_ORGANISER = "create-organiser"
    MANAGE_EVENTS = "manage-events"
    READ_ORDERS = "read-orders"
    SELL_AT_DESK = "sell-at-desk"
    REFUND = "refund"
    CHECK_IN = "check-in"
    MANAGE_MEMBERS = "manage-members"
    MANAGE_KEYS = "manage-keys"
    READ_AUDIT = "read-audit"
    MANAGE_USERS = "manage-users"
    OPERATE = "operate"
    READ_METRICS = "read-metrics"
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


@dataclass(frozen=True, slots=True)
class Grant:
    """Who has a permission.

    :param platform: roles that have it everywhere
    :param organiser: roles that have it in their organiser
    :param service: whether a service key can be made for it
    """

    platform: frozenset[Role]
    organiser: frozenset[Membership] = frozenset()
    service: bool = False


def _grant(platform: str, organiser: str = "", *, service: bool = False) -> Grant:
    roles = Role if platform == "everybody" else map(Role, platform.split())
    return Grant(frozenset(roles), frozenset(map(Membership, organiser.split())), service)


GRANTS: Final[Mapping[Permission, Grant]] = {
    #                              on the platform     in an organiser           service keys
    Permission.PUBLIC: _grant("everybody"),
    Permission.BROWSE: _grant("everybody", service=True),
    Permission.BUY: _grant("everybody"),
    Permission.OWN_ACCOUNT: _grant("everybody"),
    Permission.CREATE_ORGANISER: _grant("admin creator"),
    Permission.MANAGE_EVENTS: _grant("admin", "owner creator", service=True),
    Permission.READ_ORDERS: _grant("admin operator", "owner creator operator"),
    Permission.SELL_AT_DESK: _grant("admin", "owner operator"),
    Permission.REFUND: _grant("admin", "owner operator"),
    Permission.CHECK_IN: _grant("admin", "owner operator", service=True),
    Permission.MANAGE_MEMBERS: _grant("admin", "owner"),
    Permission.MANAGE_KEYS: _grant("admin", "owner"),
    Permission.READ_AUDIT: _grant("admin", "owner"),
    Permission.MANAGE_USERS: _grant("admin"),
    Permission.OPERATE: _grant("admin", service=True),
    Permission.READ_METRICS: _grant("", service=True),
    Permission.READ_INSIGHTS: _grant("", service=True),
}
assert GRANTS.keys() == set(Permission), "a permission that nobody was thought of for does not import"

ORGANISER_SCOPED: Final = frozenset(permission for permission, grant in GRANTS.items() if grant.organiser)
FOR_SERVICES: Final = frozenset(permission for permission, grant in GRANTS.items() if grant.service)


class PermissionMissing(DomainError):
    """The caller is known but has not the permission; `needs` names it."""

    kind = Kind.FORBIDDEN


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: a person, a service, or nobody.

    :param person_id: derived from issuer and subject; empty for an anonymous caller or a service
    :param user_id: the id of their account in the directory, where a token of its own authority tells it
    :param memberships: organiser → role there
    :param service: the id of a service's key; empty for people
    :param scopes: what the service's key was made for
    :param organiser_id: the only organiser a service's key is good for; None: for all
    :param asked: the organisers this call was asked about, None for the person themselves or for everywhere: so the
        edge sees that its border was looked at
    """

    person_id: PersonId
    name: str = ""
    email: str = ""
    user_id: str = ""
    roles: frozenset[Role] = frozenset()
    memberships: Mapping[OrganiserId, Membership] = field(default_factory=dict)
    service: str = ""
    scopes: frozenset[Permission] = frozenset()
    organiser_id: OrganiserId | None = None
    asked: set[OrganiserId | None] = field(default_factory=set, compare=False, repr=False)

    @property
    def actor(self) -> str:
        """Who did it, in what is written down: the person's id, or the key's."""
        return self.person_id or self.service

    def is_person(self, person_id: PersonId) -> bool:
        """Whether the caller is this person; what was sold to nobody, or to somebody forgotten, is nobody's."""
        self.asked.add(None)
        return bool(person_id) and self.person_id == person_id


ANONYMOUS: Final = Caller(person_id=PersonId(""))


def may(caller: Caller, permission: Permission, organiser: OrganiserId | None = None) -> bool:
    """Whether `caller` has `permission` in `organiser`, or everywhere."""
    caller.asked.add(organiser)
    grant = GRANTS[permission]
    if caller.service:
        return permission in caller.scopes and caller.organiser_id in {None, organiser}
    if permission is Permission.PUBLIC or not grant.platform.isdisjoint(caller.roles):
        return True
    return organiser is not None and caller.memberships.get(organiser) in grant.organiser


def may_somewhere(caller: Caller, permission: Permission) -> bool:
    """Whether `caller` has `permission` for at least one organiser: all an endpoint can ask before it reads."""
    grant = GRANTS[permission]
    if caller.service:
        return permission in caller.scopes
    if permission is Permission.PUBLIC or not grant.platform.isdisjoint(caller.roles):
        return True
    return not grant.organiser.isdisjoint(caller.memberships.values())


def require(caller: Caller, permission: Permission, organiser: OrganiserId, *, what: str) -> None:
    """Let the call go on only if `caller` may do this for `organiser`: the border between organisers.

    :param what: the thing asked for, as the refusal names it, e.g. `event evt_…`
    :raises NotFound: it may not; a foreign thing looks exactly like one that does not exist
    """
    if not may(caller, permission, organiser):
        raise NotFound(f"There is no {what}.")
