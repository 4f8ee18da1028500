"""Who belongs to which organiser, and as what. One document a person, so that a sign-in reads it at once."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from shared.auth.permissions import Membership
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import OrganiserId, PersonId
from shared.retry import retry
from shared.store.port import AlreadyExists, Busy, Create, NotFound, Replace, StaleWrite, Store, Unavailable

PEOPLE: Final = "people"
_ID: Final = "memberships"
MEMBERSHIPS_MAX: Final = 200
REMEMBERED: Final = timedelta(seconds=30)  # a change of role takes effect within this time
REMEMBERED_MAX: Final = 10_000


class TooManyMemberships(DomainError):
    """A person belongs to as many organisers as one can."""

    kind = Kind.CONFLICT


class Memberships:
    """Reads and writes people's memberships."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remembered: OrderedDict[PersonId, tuple[Mapping[OrganiserId, Membership], datetime]] = OrderedDict()

    async def of(self, person_id: PersonId, now: datetime) -> Mapping[OrganiserId, Membership]:
        """The person's memberships, at most 30 seconds old."""
        known = self._remembered.get(person_id)
        if known is not None and now - known[1] < REMEMBERED:
            return known[0]
        found, _ = await self._read(person_id)
        self._remembered[person_id] = (found, now)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return found

    async def set(self, person_id: PersonId, organiser_id: OrganiserId, role: Membership | None) -> None:
        """Give the person a role in an organiser, or take it away (`None`).

        :raises TooManyMemberships: it would be more than `MEMBERSHIPS_MAX`
        :raises Contended: too many changes at once
        """

        async def attempt() -> None:
            before, etag = await self._read(person_id)
            after = {key: value for key, value in before.items() if key != organiser_id}
            if role is not None:
                after[organiser_id] = role
            if len(after) > MEMBERSHIPS_MAX:
                raise TooManyMemberships(f"A person can belong to {MEMBERSHIPS_MAX} organisers.")
            value: dict[str, Any] = {"kind": "memberships", "memberships": after}
            write = Replace(_ID, value, etag) if etag else Create(_ID, value)
            await self._store.commit(PEOPLE, person_id, [write])

        await retry(attempt, on=(AlreadyExists, StaleWrite, Busy, Unavailable))
        self._remembered.pop(person_id, None)

    async def own(self, person_id: PersonId, organiser_id: OrganiserId) -> None:
        """Make the person an owner of the organiser."""
        await self.set(person_id, organiser_id, Membership.OWNER)

    async def _read(self, person_id: PersonId) -> tuple[dict[OrganiserId, Membership], str]:
        try:
            document = await self._store.read(PEOPLE, person_id, _ID)
        except NotFound:
            return {}, ""
        return {OrganiserId(k): Membership(v) for k, v in document.value["memberships"].items()}, document.etag
