"""What identity holds of a person: who they are here, what they may do, and what they did for organisers."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from functions.identity.keyring import KEYS
from functions.identity.people_repository import PeopleRepository
from functions.identity.standings import PEOPLE
from functions.identity.team_repository import TEAMS
from shared.audit import AUDIT
from shared.kernel.ids import PersonId
from shared.personal_data import Held
from shared.store.port import Store
from shared.traces import Traces

_KEY_FACTS: Final = ("kind", "key_id", "owner", "name", "scopes", "created_by", "created_at", "expires_at")
_BY_OTHERS: Final = ("kind", "organiser_id", "person_id", "by", "accepted_by", "role")


class PersonalAccount:
    """Gives out and loses what identity holds. The audit trail is given out, and kept: it is only ever added to."""

    def __init__(self, store: Store, people: PeopleRepository) -> None:
        self._people = people
        self._teams = Traces(store, TEAMS)
        self._keys = Traces(store, KEYS)
        self._audit = Traces(store, AUDIT)

    async def export(self, person_id: PersonId) -> AsyncIterator[Held]:
        """Their own partition, memberships and invitations of theirs and by them, keys they made, the trail of both."""
        for document in await self._people.documents(person_id):
            yield Held.of(PEOPLE, document)
        async for held in self._in_teams(person_id):
            yield held
        async for document in self._keys.found("created_by", person_id):
            yield Held.of(KEYS, document, *_KEY_FACTS)
        for path in ("who", "target"):
            async for document in self._audit.found(path, person_id):
                if path == "who" or document.value["who"] != person_id:
                    yield Held.of(AUDIT, document)

    async def erase(self, person_id: PersonId, *, now: datetime) -> bool:
        """Lose the profile, invitations of theirs, and who did what for organisers.

        Memberships go by `Belonging.forget`, which keeps a team's counters true and its owner there.

        :returns: whether that was all
        """
        found = await self._people.erasure(person_id)
        addresses = found.value.addresses if found else await self._addresses(person_id)
        await self._people.forget_profile(person_id)
        done = [await self._teams.delete("accepted_by", person_id)]
        done += [await self._teams.delete("email_key", address) for address in addresses]
        done += [await self._teams.blank("by", person_id), await self._keys.blank("created_by", person_id)]
        return all(done)

    async def _in_teams(self, person_id: PersonId) -> AsyncIterator[Held]:
        given: set[str] = set()
        own: list[tuple[str, str]] = [("person_id", person_id), ("accepted_by", person_id)]
        own += [("email_key", address) for address in await self._addresses(person_id)]
        for path, value in [*own, ("by", person_id)]:
            async for document in self._teams.found(path, value):
                held = Held.of(TEAMS, document, *(_BY_OTHERS if path == "by" else ()))
                if held.where not in given:
                    given.add(held.where)
                    yield held

    async def _addresses(self, person_id: PersonId) -> list[str]:
        read = await self._people.profile(person_id)
        return addresses_of(read.value.email if read else "")


def addresses_of(email: str) -> list[str]:
    """The addresses under which invitations may be found."""
    return [email.lower()] if email else []
