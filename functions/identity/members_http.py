"""Members of an organiser over HTTP."""

from pydantic import BaseModel

from functions.identity.belonging import Belonging
from functions.identity.people import BeingErased, Profile
from functions.identity.profiles import Profiles
from functions.identity.teams import ConsentMissing, LastOwner, Member, TooManyMembers, TooManyMemberships
from shared.auth.permissions import GRANTS, Membership, Permission
from shared.kernel.clock import Moment
from shared.kernel.errors import Contended, Malformed, NotFound
from shared.kernel.ids import OrganiserId, PersonId
from shared.web.endpoint import Call, Endpoints, Nothing, Wire
from shared.web.paging import PageQuery


class MemberRole(Wire):
    """What a person is to an organiser."""

    role: Membership


class MemberView(BaseModel):
    """A person's role in an organiser, since when, and who gave it."""

    person_id: PersonId
    organiser_id: OrganiserId
    role: Membership
    since: Moment
    by: str


class ColleagueView(MemberView):
    """A member by name: whoever has an invitation's code may use it, so owners look who it was."""

    name: str = ""
    email: str = ""


class MembersPage(BaseModel):
    """A page of an organiser's members."""

    items: list[ColleagueView]
    continuation: str | None = None


def member_endpoints(http: Endpoints, belonging: Belonging, profiles: Profiles) -> None:
    """Declare the endpoints."""
    _list(http, belonging, profiles)
    _owners(http, belonging)

    @http(
        "DELETE", "me/memberships/{organiser_id}", needs=Permission.OWN_ACCOUNT, status=204, audited=True,
        refuses=[NotFound, LastOwner, Contended],
    )  # fmt: skip
    async def leave(call: Call, nothing: Nothing) -> None:
        """Leave an organiser; it takes effect within a minute. Its last owner cannot."""
        organiser_id, me = OrganiserId(call.id("organiser_id")), call.caller.person_id
        call.noted["organiser_id"] = organiser_id
        if organiser_id not in call.caller.memberships:
            raise NotFound(f"You do not belong to an organiser {organiser_id}.")
        await belonging.remove(organiser_id, me, by=me, now=call.now)


def _list(http: Endpoints, belonging: Belonging, profiles: Profiles) -> None:
    @http(
        "GET", "organisers/{organiser_id}/members", needs=Permission.MANAGE_MEMBERS, takes=PageQuery,
        returns=MembersPage, refuses=[NotFound, Malformed], within="organiser_id",
    )  # fmt: skip
    async def list_members(call: Call, query: PageQuery) -> MembersPage:
        """List who works for an organiser.

        A page may have fewer than `limit`, since who left is left out; as long as there is a `continuation` there are
        more.
        """
        organiser_id = OrganiserId(call.id("organiser_id"))
        page = await belonging.members(organiser_id, limit=query.limit, continuation=query.continuation)
        members = [Member.model_validate(document.value) for document in page.documents]
        known = await profiles.of([member.person_id for member in members if member.role])
        items = [_colleague(member, known.get(member.person_id)) for member in members if member.role]
        return MembersPage(items=items, continuation=page.continuation)


def _owners(http: Endpoints, belonging: Belonging) -> None:
    @http(
        "PUT", "organisers/{organiser_id}/members/{person_id}", needs=Permission.MANAGE_MEMBERS, takes=MemberRole,
        returns=MemberView, within="organiser_id", audited=True,
        refuses=[NotFound, LastOwner, ConsentMissing, BeingErased, TooManyMembers, TooManyMemberships, Contended],
    )  # fmt: skip
    async def set_member(call: Call, body: MemberRole) -> MemberView:
        """Make a person a member of an organiser, or change what they are.

        They must have signed in here before; whoever has not is invited by mail. People find their `person_id` at
        `GET /api/me`. It takes effect within a minute. An owner is made of who agreed to work there: who created the
        organiser or accepted an invitation; others are invited as owners, or an admin makes them that.
        """
        organiser_id, person_id = OrganiserId(call.id("organiser_id")), PersonId(call.id("person_id"))
        call.noted["role"] = body.role
        trusted = not GRANTS[Permission.MANAGE_MEMBERS].platform.isdisjoint(call.caller.roles)
        member = await belonging.set_role(
            organiser_id, person_id, body.role, by=call.caller.actor, now=call.now, trusted=trusted
        )
        return MemberView.model_validate(member.model_dump())

    @http(
        "DELETE", "organisers/{organiser_id}/members/{person_id}", needs=Permission.MANAGE_MEMBERS, status=204,
        refuses=[NotFound, LastOwner, Contended], within="organiser_id", audited=True,
    )  # fmt: skip
    async def remove_member(call: Call, nothing: Nothing) -> None:
        """Remove a person from an organiser; it takes effect within a minute. The last owner stays."""
        organiser_id, person_id = OrganiserId(call.id("organiser_id")), PersonId(call.id("person_id"))
        await belonging.remove(organiser_id, person_id, by=call.caller.actor, now=call.now)


def _colleague(member: Member, profile: Profile | None) -> ColleagueView:
    called = {"name": profile.name, "email": profile.email} if profile else {}
    return ColleagueView.model_validate({**member.model_dump(), **called})
