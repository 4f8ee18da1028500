"""Identity over HTTP: who am I, and who works for an organiser."""

from pydantic import BaseModel

from functions.identity.memberships import Memberships, TooManyMemberships
from shared.auth.permissions import Membership, Permission, Role, require
from shared.kernel.errors import Contended, NotFound
from shared.kernel.ids import OrganiserId, PersonId
from shared.web.endpoint import Admits, Call, Endpoints, Nothing, Wire


class Me(BaseModel):
    """You, as this API knows you."""

    person_id: PersonId
    name: str
    email: str
    roles: list[Role]
    memberships: dict[OrganiserId, Membership]


class MemberRole(Wire):
    """What a person is to an organiser."""

    role: Membership


class Member(BaseModel):
    """A person's role in an organiser."""

    person_id: PersonId
    organiser_id: OrganiserId
    role: Membership


def endpoints(memberships: Memberships, gate: Admits) -> Endpoints:
    """The endpoints of identity."""
    http = Endpoints("identity", gate)
    _members(http, memberships)

    @http("GET", "me", needs=Permission.BUY, returns=Me)
    async def show_me(call: Call, nothing: Nothing) -> Me:
        """Show who you are here, and which organisers you belong to."""
        caller = call.caller
        return Me(
            person_id=caller.person_id,
            name=caller.name,
            email=caller.email,
            roles=sorted(caller.roles),
            memberships=dict(caller.memberships),
        )

    return http


def _members(http: Endpoints, memberships: Memberships) -> None:
    @http(
        "PUT", "organisers/{organiser_id}/members/{person_id}", needs=Permission.MANAGE_MEMBERS, takes=MemberRole,
        returns=Member, refuses=[NotFound, TooManyMemberships, Contended],
    )  # fmt: skip
    async def set_member(call: Call, body: MemberRole) -> Member:
        """Make a person a member of an organiser, or change what they are.

        People find their `person_id` at `GET /api/me`. It takes effect within a minute.
        """
        organiser_id, person_id = OrganiserId(call.id("organiser_id")), PersonId(call.id("person_id"))
        require(call.caller, Permission.MANAGE_MEMBERS, organiser_id, what=f"organiser {organiser_id}")
        await memberships.set(person_id, organiser_id, body.role)
        return Member(person_id=person_id, organiser_id=organiser_id, role=body.role)

    @http(
        "DELETE", "organisers/{organiser_id}/members/{person_id}", needs=Permission.MANAGE_MEMBERS, status=204,
        refuses=[NotFound, Contended],
    )  # fmt: skip
    async def remove_member(call: Call, nothing: Nothing) -> None:
        """Remove a person from an organiser; it takes effect within a minute."""
        organiser_id, person_id = OrganiserId(call.id("organiser_id")), PersonId(call.id("person_id"))
        require(call.caller, Permission.MANAGE_MEMBERS, organiser_id, what=f"organiser {organiser_id}")
        await memberships.set(person_id, organiser_id, None)
