"""Own profiles: what people are called here, and in which language they are spoken to."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from functions.identity.belonging import AGAIN
from functions.identity.people import Profile
from functions.identity.people_repository import PeopleRepository
from functions.identity.team_repository import Stored
from shared.auth.permissions import Caller
from shared.directory.port import Directory, UserUnknown
from shared.events.envelope import outbox
from shared.events.identity import PersonInvited
from shared.kernel.ids import OrganiserId, PersonId, derived_id
from shared.retry import retry
from shared.store.port import NotFound


class Profiles:
    """Reads and writes profiles.

    :param directory: None where accounts are not administered from here
    """

    def __init__(self, people: PeopleRepository, directory: Directory | None) -> None:
        self._people = people
        self._directory = directory

    async def seen(self, caller: Caller, now: datetime) -> Profile:
        """The caller's profile; the first time they are here it is made.

        :raises Contended: too many changes at once
        """

        async def attempt() -> Profile:
            read = await self._people.profile(caller.person_id)
            before = read.value if read else Profile(person_id=caller.person_id, name="", email="")
            told = before.as_told(caller, now)
            if told != before:
                await self._people.save_profile(Stored(told, read.etag if read else ""))
            return told

        return await retry(attempt, on=(*AGAIN, NotFound))

    async def of(self, person_ids: Sequence[PersonId]) -> Mapping[PersonId, Profile]:
        """The profiles of these people; of whoever has none, none."""
        read = await asyncio.gather(*(self._people.profile(person_id) for person_id in person_ids))
        return {found.value.person_id: found.value for found in read if found is not None}

    async def invite(self, person_id: PersonId, now: datetime) -> None:
        """Have somebody mailed that they have an account; who was here, or was mailed a moment ago, is not.

        :raises Contended: too many changes at once
        """

        async def attempt() -> None:
            read = await self._people.profile(person_id)
            invited = read.value.invited(now) if read else None
            if read is None or invited is None or invited == read.value:
                return
            told = outbox(_invited(invited, now))
            await self._people.save_profile(Stored(invited, read.etag), beside=[told])

        await retry(attempt, on=(*AGAIN, NotFound))

    async def to_welcome(self, told: PersonInvited) -> Profile | None:
        """Whom an event says to mail; None if it is not true any more."""
        read = await self._people.profile(told.person_id)
        if read is None or read.value.invitations != told.number or not read.value.email:
            return None
        return read.value

    async def change(
        self, person_id: PersonId, *, name: str | None = None, locale: str | None = None, make: Profile | None = None
    ) -> Profile | None:
        """The profile with another name or locale; in the directory too, for the name. Again changes nothing.

        :param make: what it is if there is none yet; without it, there is none afterwards either
        :raises DirectoryUnavailable: the name could not be changed there; nothing was changed here
        :raises Contended: too many changes at once
        """
        read = await self._people.profile(person_id)
        user_id = read.value.user_id if read else make.user_id if make else ""
        if name is not None and user_id and self._directory is not None:
            with suppress(UserUnknown):  # another tenant's account, or one deleted there: the name is ours alone
                await self._directory.change(user_id, name=name)
        given = {"name": name, "locale": locale}
        changes = {field: value for field, value in given.items() if value is not None}

        async def attempt() -> Profile | None:
            now_read = await self._people.profile(person_id)
            before = now_read.value if now_read else make
            if before is None:
                return None
            changed = before.model_copy(update=changes)
            if now_read is None or changed != before:
                await self._people.save_profile(Stored(changed, now_read.etag if now_read else ""))
            return changed

        return await retry(attempt, on=(*AGAIN, NotFound))


def _invited(profile: Profile, now: datetime) -> PersonInvited:
    """Its id becomes the mail's, which outlives the person: it follows from theirs and does not tell it."""
    return PersonInvited(
        id=f"{derived_id('inv', profile.person_id)}.{profile.invitations}",
        occurred_at=now,
        organiser_id=OrganiserId(""),
        person_id=profile.person_id,
        number=profile.invitations,
    )
