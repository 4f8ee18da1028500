"""People over HTTP, for admins."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from functions.identity.erasing import TicketsAtStake
from functions.identity.me_http import Confirmation
from functions.identity.people import BeingErased
from functions.identity.teams import LastOwner
from functions.identity.users import NoDirectory, OwnAccount, User, Users
from shared.auth.permissions import Membership, Permission, Role
from shared.directory.port import (
    PAGE_MAX,
    TEXT_CHARACTERS_MAX,
    DirectoryBusy,
    DirectoryRefused,
    DirectoryUnavailable,
    DirectoryUser,
)
from shared.kernel.clock import Moment
from shared.kernel.errors import Contended, NotFound
from shared.kernel.ids import OrganiserId, PersonId
from shared.web.endpoint import Call, Endpoints, Nothing, Wire
from shared.web.fields import EmailAddress, Name

_AWAY = (DirectoryUnavailable, DirectoryBusy)


class AccountView(BaseModel):
    """An account in the directory."""

    person_id: PersonId = Field(description="who they are here; ask for more with it")
    name: str
    email: str
    enabled: bool = Field(description="whether they can sign in")
    created_at: datetime | None = None

    @classmethod
    def of(cls, person_id: PersonId, account: DirectoryUser) -> "AccountView":
        """As an admin sees it."""
        return cls(
            person_id=person_id, name=account.name, email=account.email, enabled=account.enabled,
            created_at=account.created_at,
        )  # fmt: skip


class AccountPage(BaseModel):
    """A page of accounts."""

    items: list[AccountView]
    continuation: str | None = None


class AccountQuery(Wire):
    """Which accounts."""

    text: Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX)] = Field(
        default="", description="what a name or an address begins with; empty: all"
    )
    limit: int = Field(default=20, ge=1, le=PAGE_MAX)
    continuation: str | None = Field(default=None, max_length=4_000, description="from the previous page")


class NewAccount(Wire):
    """Who gets an account."""

    email: EmailAddress
    name: Name
    invite: bool = Field(default=True, description="whether they are mailed that they have it, unless they were here")


class CreatedAccount(BaseModel):
    """The account there is now for the address."""

    account: AccountView
    created: bool = Field(description="false: the address had one, which stays as it is")


class UserView(BaseModel):
    """A person."""

    person_id: PersonId
    name: str
    email: str
    locale: str
    seen_at: Moment | None = Field(default=None, description="when they were first here")
    roles: list[Role] | None = Field(default=None, description="as an admin set them; left out: as their tokens say")
    disabled: bool
    memberships: dict[OrganiserId, Membership]
    account: AccountView | None = Field(default=None, description="in the directory, where there is one")

    @classmethod
    def of(cls, user: User) -> "UserView":
        """As an admin sees them."""
        profile, standing = user.profile, user.standing
        return cls(
            person_id=profile.person_id,
            name=profile.name or (user.account.name if user.account else ""),
            email=profile.email or (user.account.email if user.account else ""),
            locale=profile.locale,
            seen_at=profile.seen_at,
            roles=None if standing.roles is None else sorted(standing.roles),
            disabled=standing.disabled,
            memberships=dict(standing.memberships),
            account=AccountView.of(profile.person_id, user.account) if user.account else None,
        )


class UserChanges(Wire):
    """What to change."""

    name: Name


class RolesWanted(Wire):
    """What a person may do on the platform."""

    roles: list[Role] | None = Field(
        min_length=1, max_length=len(Role), description="in place of those in their tokens; null: those count again"
    )


def user_endpoints(http: Endpoints, users: Users) -> None:
    """Declare the endpoints."""
    _accounts(http, users)
    _person(http, users)
    _decide(http, users)


def _accounts(http: Endpoints, users: Users) -> None:
    @http(
        "GET", "users", needs=Permission.MANAGE_USERS, takes=AccountQuery, returns=AccountPage,
        refuses=[NoDirectory, *_AWAY],
    )  # fmt: skip
    async def find_users(call: Call, query: AccountQuery) -> AccountPage:
        """Find people in the directory by what their name or address begins with."""
        found, continuation = await users.find(
            query.text, limit=query.limit, continuation=query.continuation, now=call.now
        )
        return AccountPage(items=[AccountView.of(*each) for each in found], continuation=continuation)

    @http(
        "POST", "users", needs=Permission.MANAGE_USERS, takes=NewAccount, returns=CreatedAccount, status=201,
        refuses=[NoDirectory, DirectoryRefused, Contended, *_AWAY], audited=True,
    )  # fmt: skip
    async def create_user(call: Call, body: NewAccount) -> CreatedAccount:
        """Create an account for an address, and mail its owner; an address that has one keeps it.

        Nobody knows its password: its owner sets one where people sign in, by the way for a forgotten one.
        """
        person_id, account, created = await users.create(
            email=body.email, name=body.name, invite=body.invite, now=call.now
        )
        call.noted["person_id"] = person_id
        return CreatedAccount(account=AccountView.of(person_id, account), created=created)


def _person(http: Endpoints, users: Users) -> None:
    @http(
        "GET", "users/{person_id}", needs=Permission.MANAGE_USERS, returns=UserView, refuses=[NotFound, *_AWAY]
    )  # fmt: skip
    async def show_user(call: Call, nothing: Nothing) -> UserView:
        """Show a person: who they are, what they may do, and their account."""
        return UserView.of(await users.get(_person_id(call)))

    @http(
        "PATCH", "users/{person_id}", needs=Permission.MANAGE_USERS, takes=UserChanges, returns=UserView,
        refuses=[NotFound, DirectoryRefused, Contended, *_AWAY], audited=True,
    )  # fmt: skip
    async def change_user(call: Call, body: UserChanges) -> UserView:
        """Call a person something else, here and in the directory."""
        return UserView.of(await users.rename(_person_id(call), body.name))

    @http(
        "PUT", "users/{person_id}/roles", needs=Permission.MANAGE_USERS, takes=RolesWanted, returns=UserView,
        refuses=[NotFound, OwnAccount, BeingErased, Contended, *_AWAY], audited=True,
    )  # fmt: skip
    async def set_user_roles(call: Call, body: RolesWanted) -> UserView:
        """Say what a person may do on the platform, whatever their tokens say; it takes effect within a minute.

        What they may do for an organiser is that organiser's to say. Your own roles another admin changes.
        """
        roles = None if body.roles is None else frozenset(body.roles)
        call.noted["roles"] = ",".join(sorted(roles)) if roles is not None else "as in tokens"
        return UserView.of(await users.set_roles(_person_id(call), roles, by=call.caller))


def _decide(http: Endpoints, users: Users) -> None:
    refuses = [NotFound, OwnAccount, BeingErased, DirectoryRefused, Contended, *_AWAY]

    @http(
        "POST", "users/{person_id}/disable", needs=Permission.MANAGE_USERS, status=204, refuses=refuses, audited=True
    )  # fmt: skip
    async def disable_user(call: Call, nothing: Nothing) -> None:
        """Let a person in no more: within a minute with tokens they have, and at once where they sign in."""
        await users.disable(_person_id(call), by=call.caller)

    @http("POST", "users/{person_id}/enable", needs=Permission.MANAGE_USERS, status=204, refuses=refuses, audited=True)
    async def enable_user(call: Call, nothing: Nothing) -> None:
        """Let a person in again."""
        await users.enable(_person_id(call), by=call.caller)

    @http(
        "DELETE", "users/{person_id}", needs=Permission.MANAGE_USERS, takes=Confirmation, status=204,
        refuses=[NotFound, OwnAccount, LastOwner, TicketsAtStake, Contended], audited=True,
    )  # fmt: skip
    async def erase_user(call: Call, query: Confirmation) -> None:
        """Forget a person and delete their account, as they could themselves (`DELETE /api/me`)."""
        await users.erase(_person_id(call), by=call.caller, confirmed=query.confirm, now=call.now)


def _person_id(call: Call) -> PersonId:
    return PersonId(call.id("person_id"))
