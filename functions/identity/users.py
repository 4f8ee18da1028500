"""Administering people: found in the directory, created, given roles, disabled, erased.

What we say of a person (roles, disabled) is in their standing and counts at once; what the directory says (that they
can sign in at all) is its own. Ours comes first, so that a directory that is away leaves nobody in who is to be out.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from functions.identity.belonging import AGAIN
from functions.identity.erasing import Erasing
from functions.identity.exporting import Exporting
from functions.identity.people import Profile
from functions.identity.people_repository import PeopleRepository
from functions.identity.profiles import Profiles
from functions.identity.standings import Standings
from functions.identity.team_repository import Stored
from shared.auth.gate import Standing
from shared.auth.permissions import Caller, Role
from shared.directory.port import Directory, DirectoryUser, UserUnknown
from shared.kernel.errors import DomainError, Kind
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import PersonId, person_id_of
from shared.retry import retry
from shared.store.port import NotFound


class NoDirectory(DomainError):
    """This platform does not administer accounts: it has no directory (`DIRECTORY_*`)."""

    kind = Kind.CONFLICT


class OwnAccount(DomainError):
    """Admins do not disable, demote or erase themselves: another admin does, so that there always is one."""

    kind = Kind.CONFLICT


class Issuers(Protocol):
    """What knows whose tokens the directory's people bear (`shared/auth/tokens.py`)."""

    async def directory_issuer(self, now: datetime) -> str:
        """The issuer."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """A person as an admin sees them.

    :param account: theirs in the directory, where there is one
    """

    profile: Profile
    standing: Standing
    account: DirectoryUser | None


@dataclass(frozen=True, slots=True)
class Users:
    """Administers people.

    :param directory: None where accounts are not administered from here
    """

    people: PeopleRepository
    standings: Standings
    profiles: Profiles
    exporting: Exporting
    erasing: Erasing
    issuers: Issuers
    directory: Directory | None

    async def find(
        self, text: str, *, limit: int, continuation: str | None, now: datetime
    ) -> tuple[list[tuple[PersonId, DirectoryUser]], str | None]:
        """Accounts whose name or address begins with `text`, each with the id of its person here.

        Of whom an admin was shown is kept which account is theirs, and nothing else: a `person_id` does not tell it.

        :raises NoDirectory: there is none
        :raises DirectoryUnavailable: it does not answer
        """
        page = await self._asked().find(text, limit=limit, continuation=continuation)
        return [(await self._kept(user, now, whole=False), user) for user in page.items], page.continuation

    async def create(
        self, *, email: str, name: str, invite: bool, now: datetime
    ) -> tuple[PersonId, DirectoryUser, bool]:
        """An account for an address, and whether this call made it: an address has one account, whoever asks how often.

        :param invite: whether they are mailed that they have it, if they never were here

        :raises NoDirectory: there is none
        :raises DirectoryRefused: the directory will not
        :raises DirectoryUnavailable: it does not answer
        """
        made = await self._asked().create(email=email, name=name)
        person_id = await self._kept(made.user, now, whole=True)
        if invite:
            await self.profiles.invite(person_id, now)
        return person_id, made.user, made.created

    async def get(self, person_id: PersonId) -> User:
        """A person.

        :raises NotFound: nothing is held of anybody by that id
        :raises DirectoryUnavailable: it does not answer
        """
        profile = await self._profile(person_id)
        account: DirectoryUser | None = None
        if self.directory is not None and profile.user_id:
            with suppress(UserUnknown):  # deleted there, or of another tenant
                account = await self.directory.get(profile.user_id)
        return User(profile, await self.standings.read(person_id), account)

    async def rename(self, person_id: PersonId, name: str) -> User:
        """Call a person something else, here and in the directory; again changes nothing.

        :raises NotFound: nobody by that id is known
        :raises DirectoryUnavailable: it does not answer; nothing was changed
        """
        await self.profiles.change(person_id, name=name, make=await self._profile(person_id))
        return await self.get(person_id)

    async def set_roles(self, person_id: PersonId, roles: frozenset[Role] | None, *, by: Caller) -> User:
        """Give a person these roles on the platform; None: those in their tokens count again. Again changes nothing.

        :raises OwnAccount: it is the caller
        :raises BeingErased: they are to be forgotten
        """
        await self._changeable(person_id, by)
        await self.standings.set_roles(person_id, roles)
        return await self.get(person_id)

    async def disable(self, person_id: PersonId, *, by: Caller) -> None:
        """Let a person in no more, and end their sessions; again changes nothing.

        Whoever has a token can do harm before they have left a trace here, so nobody needs to be known for this.

        :raises OwnAccount: it is the caller
        :raises BeingErased: they are to be forgotten
        :raises DirectoryUnavailable: we let them in no more, and the directory has yet to be told: ask again
        """
        profile = await self._changeable(person_id, by)
        await self.standings.set_disabled(person_id, True)
        if self.directory is not None and profile.user_id:
            with suppress(UserUnknown):
                await self.directory.disable(profile.user_id)
                await self.directory.revoke_sessions(profile.user_id)

    async def enable(self, person_id: PersonId, *, by: Caller) -> None:
        """Let a person in again; again changes nothing.

        :raises BeingErased: they are to be forgotten
        :raises DirectoryUnavailable: it has to be told first, and does not answer; nothing was changed
        """
        profile = await self._changeable(person_id, by)
        if self.directory is not None and profile.user_id:
            with suppress(UserUnknown):
                await self.directory.enable(profile.user_id)
        await self.standings.set_disabled(person_id, False)

    async def erase(self, person_id: PersonId, *, by: Caller, confirmed: bool, now: datetime) -> None:
        """Forget a person; see `Erasing.begin`.

        :raises OwnAccount: it is the caller
        :raises NotFound: nobody by that id is known
        :raises LastOwner, TicketsAtStake: see there
        """
        _refuse_own(person_id, by)
        if await self.people.erasure(person_id) is None:
            await self._profile(person_id)
        await self.erasing.begin(person_id, user_id="", email="", confirmed=confirmed, now=now)

    async def _changeable(self, person_id: PersonId, by: Caller) -> Profile:
        _refuse_own(person_id, by)
        await self.erasing.refuse_if_erased(person_id)
        read = await self.people.profile(person_id)
        return read.value if read else Profile(person_id=person_id, name="", email="")

    async def _profile(self, person_id: PersonId) -> Profile:
        """Theirs, or an empty one of somebody who never asked who they are, and left other traces."""
        read = await self.people.profile(person_id)
        if read is not None:
            return read.value
        if await self.people.erasure(person_id) is not None or not await self.exporting.knows(person_id):
            raise NothingThere(f"There is no person {person_id}: nothing is held of them, and nobody looked for them.")
        return Profile(person_id=person_id, name="", email="")

    async def _kept(self, user: DirectoryUser, now: datetime, *, whole: bool) -> PersonId:
        """Keep which account is the person's; with `whole`, what it is called and its address too."""
        person_id = person_id_of(await self.issuers.directory_issuer(now), user.user_id)

        async def attempt() -> None:
            read = await self.people.profile(person_id)
            if read is None and await self.people.erasure(person_id) is not None:
                return
            before = read.value if read else Profile(person_id=person_id, name="", email="")
            kept = before.as_kept(user, whole=whole)
            if kept != before:
                await self.people.save_profile(Stored(kept, read.etag if read else ""))

        await retry(attempt, on=(*AGAIN, NotFound))
        return person_id

    def _asked(self) -> Directory:
        if self.directory is None:
            raise NoDirectory("This platform has no directory of accounts; people are made where they sign in.")
        return self.directory


def _refuse_own(person_id: PersonId, by: Caller) -> None:
    if by.is_person(person_id):
        raise OwnAccount("This is your own account; ask another admin.")
