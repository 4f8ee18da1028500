"""Belonging to an organiser: members are made, changed and removed.

A team's own partition decides; people's standings are copies, brought up to date in the same request, and by the
team's change feed if that died.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from functions.identity.invitations import AlreadyMember, Invitation
from functions.identity.standings import Standings
from functions.identity.team_repository import Stored, TeamRepository
from functions.identity.teams import MEMBERSHIPS_MAX, ConsentMissing, LastOwner, Member, Team, TooManyMemberships
from shared.auth.permissions import Membership
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import OrganiserId, PersonId
from shared.retry import TRANSIENT, retry
from shared.store.port import AlreadyExists, Page, StaleWrite

AGAIN: Final = (AlreadyExists, StaleWrite, *TRANSIENT)

type Known = Callable[[PersonId], Awaitable[bool]]


class Belonging:
    """Who works for whom.

    :param known: whether a person was ever here: a role given to a mistyped id would wait for nobody
    """

    def __init__(self, teams: TeamRepository, standings: Standings, known: Known) -> None:
        self._teams = teams
        self._standings = standings
        self._known = known

    async def own(self, person_id: PersonId, organiser_id: OrganiserId, name: str, now: datetime) -> None:
        """Make the person the first owner of a new organiser; again changes nothing.

        :raises TooManyMemberships: it would be more than a person can have
        :raises Contended: too many changes at once
        """

        async def attempt() -> None:
            if await self._teams.team(organiser_id) is None:
                await self._refuse_if_too_many(person_id)
                team = Team(organiser_id=organiser_id, name=name, owners=1, members=1)
                member = _member(organiser_id, person_id, Membership.OWNER, by=person_id, now=now)
                await self._teams.save(organiser_id, team=Stored(team), member=Stored(member))

        await retry(attempt, on=AGAIN)
        await self.copy(organiser_id, person_id)

    async def set_role(
        self,
        organiser_id: OrganiserId,
        person_id: PersonId,
        role: Membership,
        *,
        by: str,
        now: datetime,
        trusted: bool = False,
    ) -> Member:
        """Make the person a member, or change what they are; again changes nothing.

        :param trusted: an admin does it, who may make anybody an owner; others only those who agreed to work there
        :raises NotFound: no such organiser, or nobody by that id was ever here
        :raises BeingErased: they are to be forgotten
        :raises ConsentMissing: they are to own the organiser, and never agreed to work there
        :raises LastOwner: nobody would own the organiser
        :raises TooManyMembers, TooManyMemberships: it would be more than an organiser, or a person, can have
        :raises Contended: too many changes at once
        """

        async def attempt() -> Member:
            team = await self.team(organiser_id)
            read = await self._teams.member(organiser_id, person_id)
            before = read.value.role if read else None
            if read is not None and before is role:
                return read.value
            accepted = read is not None and read.value.accepted
            _refuse_without_consent(role, accepted or trusted or by == person_id)
            await self._standings.refuse_if_erased(person_id)
            if before is None:
                await self._refuse_if_too_many(person_id)
            member = _member(organiser_id, person_id, role, by=by, now=now, accepted=accepted)
            await self._save(team, before, Stored(member, read.etag if read else ""))
            return member

        await self._refuse_unknown(person_id)
        member = await retry(attempt, on=AGAIN)
        await self.copy(organiser_id, person_id)
        return member

    async def remove(self, organiser_id: OrganiserId, person_id: PersonId, *, by: str, now: datetime) -> None:
        """Remove a member; somebody who is none is left as they are.

        :raises NotFound: no such organiser
        :raises LastOwner: nobody would own the organiser
        :raises Contended: too many changes at once
        """

        async def attempt() -> None:
            team = await self.team(organiser_id)
            read = await self._teams.member(organiser_id, person_id)
            if read is None or read.value.role is None:
                return
            gone = _member(organiser_id, person_id, None, by=by, now=now)
            await self._save(team, read.value.role, Stored(gone, read.etag))

        await retry(attempt, on=AGAIN)
        await self.copy(organiser_id, person_id)

    async def members(self, organiser_id: OrganiserId, *, limit: int, continuation: str | None) -> Page:
        """A page of the organiser's members; those who are none any more are among the documents, without a role."""
        return await self._teams.members(organiser_id, limit=limit, continuation=continuation)

    async def copy(self, organiser_id: OrganiserId, person_id: PersonId) -> None:
        """Bring the person's standing up to date with the team.

        :raises Contended: too many changes at once
        """

        async def role_of() -> Membership | None:
            read = await self._teams.member(organiser_id, person_id)
            return read.value.role if read else None

        await self._standings.copy(person_id, organiser_id, role_of)

    async def leave_all(self, person_id: PersonId, *, now: datetime) -> None:
        """Remove the person from every organiser.

        :raises LastOwner: one would have no owner; `organisers` names all of these, and nothing was changed
        :raises Contended: too many changes at once
        """
        belongs = await retry(lambda: self._teams.organisers_of(person_id), on=TRANSIENT)
        alone: list[str] = [each for each in belongs if await self._owns_alone(each, person_id)]
        if alone:
            raise LastOwner(
                "Make somebody else an owner of these organisers first, or ask an admin to hand them over.",
                organisers=sorted(alone),
            )
        for organiser_id in belongs:
            await self.remove(organiser_id, person_id, by=person_id, now=now)

    async def forget(self, person_id: PersonId, *, now: datetime) -> list[OrganiserId]:
        """Remove the person from every organiser, and that they ever were there.

        :returns: where that cannot be yet: they are the only owner
        :raises Contended: too many changes at once
        """
        belongs = await retry(lambda: self._teams.organisers_of(person_id), on=TRANSIENT)
        return [each for each in belongs if not await self._forgotten(each, person_id, now)]

    async def _forgotten(self, organiser_id: OrganiserId, person_id: PersonId, now: datetime) -> bool:
        try:
            await self.remove(organiser_id, person_id, by=person_id, now=now)
        except LastOwner:
            return False
        return await retry(lambda: self._teams.forget_member(organiser_id, person_id), on=AGAIN)

    async def _owns_alone(self, organiser_id: OrganiserId, person_id: PersonId) -> bool:
        """Asked of the team, which decides."""
        read = await self._teams.member(organiser_id, person_id)
        owner = read is not None and read.value.role is Membership.OWNER
        return owner and (await self.team(organiser_id)).value.owners < 2

    async def team(self, organiser_id: OrganiserId) -> Stored[Team]:
        """The organiser's team.

        :raises NotFound: no such organiser
        """
        team = await self._teams.team(organiser_id)
        if team is None:
            raise NothingThere(f"There is no organiser {organiser_id}.")
        return team

    async def welcome(self, team: Stored[Team], invitation: Stored[Invitation], person_id: PersonId) -> None:
        """Make the person who accepted an invitation a member, in one commit with the invitation.

        :raises AlreadyMember: they are something there already
        :raises BeingErased: they are to be forgotten
        :raises TooManyMembers: it would be more than an organiser can have
        :raises TooManyMemberships: it would be more than a person can have
        :raises StaleWrite: somebody else was faster
        """
        organiser_id, accepted = team.value.organiser_id, invitation.value
        there = await self._teams.member(organiser_id, person_id)
        if there is not None and there.value.role is not None:
            role = there.value.role
            raise AlreadyMember(f"You are {role} of {team.value.name} already.", role=role.value)
        await self._standings.refuse_if_erased(person_id)
        await self._refuse_if_too_many(person_id)
        member = _member(organiser_id, person_id, accepted.role, by=accepted.by, now=accepted.changed_at, accepted=True)
        await self._save(team, None, Stored(member, there.etag if there else ""), invitation)

    async def _save(
        self,
        team: Stored[Team],
        before: Membership | None,
        member: Stored[Member],
        invitation: Stored[Invitation] | None = None,
    ) -> None:
        changed = Stored(team.value.changed(before, member.value.role), team.etag)
        await self._teams.save(team.value.organiser_id, team=changed, member=member, invitation=invitation)

    async def _refuse_unknown(self, person_id: PersonId) -> None:
        if not await self._known(person_id):
            raise NothingThere(f"There is no person {person_id} who ever signed in here; invite them by mail.")

    async def _refuse_if_too_many(self, person_id: PersonId) -> None:
        if len((await self._standings.read(person_id)).memberships) >= MEMBERSHIPS_MAX:
            raise TooManyMemberships(f"A person can belong to {MEMBERSHIPS_MAX} organisers.")


def _member(
    organiser_id: OrganiserId,
    person_id: PersonId,
    role: Membership | None,
    *,
    by: str,
    now: datetime,
    accepted: bool = False,
) -> Member:
    agreed = role is not None and (accepted or by == person_id)
    return Member(organiser_id=organiser_id, person_id=person_id, role=role, since=now, by=by, accepted=agreed)


def _refuse_without_consent(role: Membership, agreed: bool) -> None:
    if role is Membership.OWNER and not agreed:
        raise ConsentMissing("Invite this person as an owner by mail (remove them first), or ask an admin.")
