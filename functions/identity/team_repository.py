"""Teams, members and invitations as documents, a partition an organiser: one commit decides all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from functions.identity.invitations import Invitation
from functions.identity.teams import Member, Team
from shared.kernel.ids import OrganiserId, PersonId
from shared.store.paging import all_documents
from shared.store.port import EVERYWHERE, PAGE_MAX, Create, Delete, NotFound, Page, Replace, Store, Where, Write

TEAMS: Final = "teams"
MEMBER_KIND: Final = "member"
_INVITATION_KIND: Final = "invitation"
_TEAM: Final = "team"


@dataclass(frozen=True, slots=True)
class Stored[T]:
    """What was read, and the etag it was read at; empty: it is not there yet."""

    value: T
    etag: str = ""


class TeamRepository:
    """Reads and writes the container `teams`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def team(self, organiser_id: OrganiserId) -> Stored[Team] | None:
        """The organiser's team; None: there is no such organiser."""
        try:
            found = await self._store.read(TEAMS, organiser_id, _TEAM)
        except NotFound:
            return None
        return Stored(Team.model_validate(found.value), found.etag)

    async def member(self, organiser_id: OrganiserId, person_id: PersonId) -> Stored[Member] | None:
        """What a person is to an organiser; None: they never were anything."""
        try:
            found = await self._store.read(TEAMS, organiser_id, _member_id(person_id))
        except NotFound:
            return None
        return Stored(Member.model_validate(found.value), found.etag)

    async def organisers_of(self, person_id: PersonId) -> list[OrganiserId]:
        """Every organiser whose team has a document of the person, also of what they are no more."""
        where = [Where("person_id", "=", person_id), Where("kind", "=", MEMBER_KIND)]
        found = all_documents(
            lambda continuation: self._store.query(
                TEAMS, EVERYWHERE, where=where, limit=PAGE_MAX, continuation=continuation
            )
        )
        return [OrganiserId(document.partition) async for document in found]

    async def forget_member(self, organiser_id: OrganiserId, person_id: PersonId) -> bool:
        """Delete that the person ever was something there; whether nothing says so now.

        :returns: False: they are something there
        :raises StaleWrite: somebody else changed it
        """
        read = await self.member(organiser_id, person_id)
        if read is None:
            return True
        if read.value.role is not None:
            return False
        try:
            await self._store.commit(TEAMS, organiser_id, [Delete(_member_id(person_id), read.etag)])
        except NotFound:
            return True
        return True

    async def invitation(self, organiser_id: OrganiserId, invitation_id: str) -> Stored[Invitation] | None:
        """An invitation; None: there is none such."""
        try:
            found = await self._store.read(TEAMS, organiser_id, invitation_id)
        except NotFound:
            return None
        return Stored(Invitation.model_validate(found.value), found.etag)

    async def members(self, organiser_id: OrganiserId, *, limit: int, continuation: str | None) -> Page:
        """A page of those who were ever members: some may have no role any more."""
        return await self._page(organiser_id, MEMBER_KIND, limit, continuation)

    async def invitations(self, organiser_id: OrganiserId, *, limit: int, continuation: str | None) -> Page:
        """A page of invitations, whatever became of them."""
        return await self._page(organiser_id, _INVITATION_KIND, limit, continuation)

    async def save(
        self,
        organiser_id: OrganiserId,
        *,
        team: Stored[Team] | None = None,
        member: Stored[Member] | None = None,
        invitation: Stored[Invitation] | None = None,
        beside: Sequence[Create] = (),
    ) -> None:
        """Write what is given, all or nothing, each over the version it was read at.

        :raises StaleWrite: somebody else changed one of them
        :raises AlreadyExists: somebody else wrote one of them first
        """
        writes: list[Write] = list(beside)
        if team is not None:
            writes.append(_write(_TEAM, _TEAM, team))
        if member is not None:
            writes.append(_write(_member_id(member.value.person_id), MEMBER_KIND, member))
        if invitation is not None:
            ttl = invitation.value.kept_seconds
            writes.append(_write(invitation.value.invitation_id, _INVITATION_KIND, invitation, ttl_seconds=ttl))
        await self._store.commit(TEAMS, organiser_id, writes)

    async def _page(self, organiser_id: OrganiserId, kind: str, limit: int, continuation: str | None) -> Page:
        where = [Where("kind", "=", kind)]
        return await self._store.query(TEAMS, organiser_id, where=where, limit=limit, continuation=continuation)


def _write[T: Team | Member | Invitation](
    id_: str, kind: str, stored: Stored[T], *, ttl_seconds: int | None = None
) -> Write:
    value = {"kind": kind, **stored.value.model_dump(mode="json")}
    if isinstance(stored.value, Invitation):
        value |= {"email_key": stored.value.email.lower()}  # by which a person's invitations are found
    if stored.etag:
        return Replace(id_, value, stored.etag, ttl_seconds)
    return Create(id_, value, ttl_seconds)


def _member_id(person_id: PersonId) -> str:
    return f"member:{person_id}"
