"""Invitations over HTTP: an owner invites by mail; whoever is signed in and has the code becomes a member."""

from typing import Final

from pydantic import BaseModel, Field

from functions.identity.invitation_page import invitation_page
from functions.identity.invitations import (
    AlreadyMember,
    Invitation,
    InvitationOver,
    InvitationState,
    InvitedJustNow,
)
from functions.identity.inviting import Inviting
from functions.identity.people import BeingErased
from functions.identity.teams import TooManyInvitations, TooManyMembers, TooManyMemberships
from shared.auth.permissions import Membership, Permission
from shared.kernel.clock import Moment
from shared.kernel.errors import Contended, Malformed, NotFound
from shared.kernel.ids import OrganiserId, PersonId
from shared.web.endpoint import Call, Endpoints, Nothing, Raw, Wire
from shared.web.fields import EmailAddress
from shared.web.paging import PageQuery

CODE_CHARACTERS_MAX: Final = 200


class NewInvitation(Wire):
    """Whom to invite, and as what."""

    email: EmailAddress
    role: Membership


class InvitationView(BaseModel):
    """An invitation; `expires_at` is when an open one is no longer good."""

    invitation_id: str
    organiser_id: OrganiserId
    email: str
    role: Membership
    state: InvitationState
    mailed_at: Moment
    expires_at: Moment
    accepted_by: PersonId | None = None


class InvitationsPage(BaseModel):
    """A page of an organiser's invitations."""

    items: list[InvitationView]
    continuation: str | None = None


class InvitationCode(Wire):
    """The code in the mail: what comes after `code=` in its link."""

    code: str = Field(min_length=1, max_length=CODE_CHARACTERS_MAX)


class Accepted(BaseModel):
    """What you are now."""

    organiser_id: OrganiserId
    organiser: str
    role: Membership


class InvitationShown(Wire):
    """Which invitation the page shows."""

    code: str = Field(default="", max_length=CODE_CHARACTERS_MAX)


def invitation_endpoints(http: Endpoints, inviting: Inviting) -> None:
    """Declare the endpoints."""
    _owners(http, inviting)

    @http(
        "POST", "invitations/accept", needs=Permission.OWN_ACCOUNT, takes=InvitationCode, returns=Accepted,
        audited=True,
        refuses=[
            NotFound, InvitationOver, AlreadyMember, BeingErased, TooManyMembers, TooManyMemberships, Contended,
        ],
    )  # fmt: skip
    async def accept_invitation(call: Call, body: InvitationCode) -> Accepted:
        """Accept an invitation with the code from its mail: you become a member within a minute.

        Whoever reads the mail may accept it, with any account. Accepted by you already, it is answered again.
        """
        accepted, team = await inviting.accept(body.code, call.caller.person_id, now=call.now)
        call.noted.update(organiser_id=team.organiser_id, invitation_id=accepted.invitation_id, role=accepted.role)
        return Accepted(organiser_id=team.organiser_id, organiser=team.name, role=accepted.role)

    @http(
        "GET", "invitations/shown", needs=Permission.PUBLIC, takes=InvitationShown, media_type="text/html",
    )  # fmt: skip
    async def show_invitation(call: Call, query: InvitationShown) -> Raw:
        """The page that an invitation's mail leads to: who invites you as what, and how to accept.

        Looking at it accepts nothing, since mail scanners look too.
        """
        try:
            shown = await inviting.shown(query.code)
        except InvitationOver:
            shown = None
        page = invitation_page(shown, query.code, now=call.now)
        return Raw(page, "text/html", {"cache-control": "no-store", "referrer-policy": "no-referrer"})


def _owners(http: Endpoints, inviting: Inviting) -> None:
    @http(
        "POST", "organisers/{organiser_id}/invitations", needs=Permission.MANAGE_MEMBERS, takes=NewInvitation,
        returns=InvitationView, status=201,
        refuses=[NotFound, InvitedJustNow, TooManyInvitations, Contended], within="organiser_id", audited=True,
    )  # fmt: skip
    async def invite_member(call: Call, body: NewInvitation) -> InvitationView:
        """Invite somebody by mail to work for an organiser; the invitation is good for seven days.

        An address has one invitation of an organiser: inviting it again mails a new code, which makes the one before
        worthless. Within ten minutes an address is not mailed twice: the same invitation is given as it is, another one
        is refused (409 `invited-just-now`).
        """
        organiser_id, by = OrganiserId(call.id("organiser_id")), call.caller.actor
        invitation = await inviting.invite(organiser_id, body.email, body.role, by=by, now=call.now)
        call.noted.update(invitation_id=invitation.invitation_id, role=invitation.role)
        return InvitationView.model_validate(invitation.model_dump())

    @http(
        "GET", "organisers/{organiser_id}/invitations", needs=Permission.MANAGE_MEMBERS, takes=PageQuery,
        returns=InvitationsPage, refuses=[NotFound, Malformed], within="organiser_id",
    )  # fmt: skip
    async def list_invitations(call: Call, query: PageQuery) -> InvitationsPage:
        """List an organiser's invitations, whatever became of them; they are kept for a few weeks."""
        organiser_id = OrganiserId(call.id("organiser_id"))
        page = await inviting.invitations(organiser_id, limit=query.limit, continuation=query.continuation)
        found = [Invitation.model_validate(document.value) for document in page.documents]
        items = [InvitationView.model_validate(invitation.model_dump()) for invitation in found]
        return InvitationsPage(items=items, continuation=page.continuation)

    @http(
        "DELETE", "organisers/{organiser_id}/invitations/{invitation_id}", needs=Permission.MANAGE_MEMBERS, status=204,
        refuses=[NotFound, InvitationOver, Contended], within="organiser_id", audited=True,
    )  # fmt: skip
    async def withdraw_invitation(call: Call, nothing: Nothing) -> None:
        """Withdraw an invitation: its code is good for nothing at once."""
        organiser_id = OrganiserId(call.id("organiser_id"))
        await inviting.withdraw(organiser_id, call.id("invitation_id"), now=call.now)
