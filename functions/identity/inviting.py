"""Inviting people by mail to work for an organiser, and what becomes of it."""

from datetime import datetime
from typing import NamedTuple

from functions.identity.belonging import AGAIN, Belonging
from functions.identity.invitations import LIFE, Invitation, InvitationCodes, InvitationOver
from functions.identity.team_repository import Stored, TeamRepository
from functions.identity.teams import Team
from shared.auth.permissions import Membership
from shared.events.envelope import outbox
from shared.events.identity import MemberInvited
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import OrganiserId, PersonId, random_text
from shared.retry import retry
from shared.store.port import Page


class Mailed(NamedTuple):
    """An invitation as its mail tells it.

    :param organiser: who invites
    """

    invitation: Invitation
    organiser: str
    code: str


class Inviting:
    """Invitations from the mail to the membership."""

    def __init__(self, teams: TeamRepository, belonging: Belonging, codes: InvitationCodes) -> None:
        self._teams = teams
        self._belonging = belonging
        self._codes = codes

    async def invite(
        self, organiser_id: OrganiserId, email: str, role: Membership, *, by: str, now: datetime
    ) -> Invitation:
        """Invite whoever reads the mail of an address; asked again within minutes it is not mailed twice.

        :raises NotFound: no such organiser
        :raises InvitedJustNow: it was mailed something else a moment ago
        :raises TooManyInvitations: the organiser invited as many today as one can in a day
        :raises Contended: too many changes at once
        """

        async def attempt() -> Invitation:
            team = await self._belonging.team(organiser_id)
            invitation_id, nonce = self._codes.id_of(organiser_id, email), random_text()
            read = await self._teams.invitation(organiser_id, invitation_id)
            if read is None:
                invitation = Invitation(
                    invitation_id=invitation_id, organiser_id=organiser_id, email=email, role=role, by=by,
                    mailed_at=now, expires_at=now + LIFE, changed_at=now, nonce=nonce,
                )  # fmt: skip
            else:
                invitation = read.value.again(role=role, by=by, nonce=nonce, now=now)
                if invitation == read.value:
                    return invitation
            stored = Stored(invitation, read.etag if read else "")
            told, invited = [outbox(_invited(invitation, now))], Stored(team.value.invited_one(now.date()), team.etag)
            await self._teams.save(organiser_id, team=invited, invitation=stored, beside=told)
            return invitation

        return await retry(attempt, on=AGAIN)

    async def invitations(self, organiser_id: OrganiserId, *, limit: int, continuation: str | None) -> Page:
        """A page of the organiser's invitations, whatever became of them."""
        return await self._teams.invitations(organiser_id, limit=limit, continuation=continuation)

    async def withdraw(self, organiser_id: OrganiserId, invitation_id: str, *, now: datetime) -> None:
        """Make an invitation good for nothing; again changes nothing.

        :raises NotFound: there is none such
        :raises InvitationOver: somebody accepted it
        :raises Contended: too many changes at once
        """

        async def attempt() -> None:
            read = await self._invitation(organiser_id, invitation_id)
            withdrawn = read.value.withdrawn(now)
            if withdrawn != read.value:
                await self._teams.save(organiser_id, invitation=Stored(withdrawn, read.etag))

        await retry(attempt, on=AGAIN)

    async def shown(self, code: str) -> tuple[Invitation, Team]:
        """The invitation behind a code, and whose it is.

        :raises InvitationOver: the code is not one of ours, or its invitation is gone
        """
        said = self._codes.read(code)
        read = None if said is None else await self._teams.invitation(said.organiser_id, said.invitation_id)
        team = None if said is None else await self._teams.team(said.organiser_id)
        if said is None or read is None or team is None or read.value.nonce != said.nonce:
            raise InvitationOver("This invitation is not, or no longer, good for anything; ask for a new one.")
        return read.value, team.value

    async def accept(self, code: str, person_id: PersonId, *, now: datetime) -> tuple[Invitation, Team]:
        """Make the person what the invitation says; again changes nothing.

        :raises InvitationOver: the code is not ours, or the invitation cannot be accepted any more
        :raises AlreadyMember: they are something there already; the invitation stays as it is
        :raises TooManyMembers: it would be more than an organiser can have
        :raises TooManyMemberships: it would be more than a person can have
        :raises Contended: too many changes at once
        """
        said = self._codes.read(code)
        if said is None:
            raise InvitationOver("This is not the code of an invitation; use the link in the mail as it is.")

        async def attempt() -> tuple[Invitation, Team]:
            team = await self._belonging.team(said.organiser_id)
            read = await self._invitation(said.organiser_id, said.invitation_id)
            accepted = read.value.accepted(person_id, nonce=said.nonce, now=now)
            if accepted == read.value:
                await self._refuse_if_gone(said.organiser_id, person_id)
                return accepted, team.value
            await self._refuse_if_demoted(said.organiser_id, accepted.by)
            await self._belonging.welcome(team, Stored(accepted, read.etag), person_id)
            return accepted, team.value

        done = await retry(attempt, on=AGAIN)
        await self._belonging.copy(said.organiser_id, person_id)
        return done

    async def to_mail(self, told: MemberInvited, *, now: datetime) -> Mailed | None:
        """What an event says to mail; None if the invitation is not good any more."""
        read = await self._teams.invitation(told.organiser_id, told.invitation_id)
        team = await self._teams.team(told.organiser_id)
        if read is None or team is None or read.value.nonce != told.nonce or not read.value.is_open(now):
            return None
        return Mailed(read.value, team.value.name, self._codes.code(read.value))

    async def _refuse_if_gone(self, organiser_id: OrganiserId, person_id: PersonId) -> None:
        """Nothing, for who accepted and is a member still; who was removed since does not come back by asking again."""
        read = await self._teams.member(organiser_id, person_id)
        if read is None or read.value.role is None:
            raise InvitationOver("You accepted this invitation, and are no member any more; ask for a new one.")

    async def _refuse_if_demoted(self, organiser_id: OrganiserId, by: str) -> None:
        """Nothing, for invitations of owners and of admins, who are no members; not of somebody who was an owner."""
        read = await self._teams.member(organiser_id, PersonId(by))
        if read is not None and read.value.role is not Membership.OWNER:
            raise InvitationOver("Whoever invited you may not do that any more; ask for a new invitation.")

    async def _invitation(self, organiser_id: OrganiserId, invitation_id: str) -> Stored[Invitation]:
        read = await self._teams.invitation(organiser_id, invitation_id)
        if read is None:
            raise NothingThere(f"There is no invitation {invitation_id}.")
        return read


def _invited(invitation: Invitation, now: datetime) -> MemberInvited:
    return MemberInvited(
        id=f"{invitation.invitation_id}.{invitation.nonce}",
        occurred_at=now,
        organiser_id=invitation.organiser_id,
        invitation_id=invitation.invitation_id,
        nonce=invitation.nonce,
    )
