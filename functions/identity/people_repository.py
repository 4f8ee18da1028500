"""Profiles and erasures as documents, in the person's own partition of `people`."""

from collections.abc import Sequence
from typing import Any

from functions.identity.people import GONE_AFTER_SECONDS, Erasure, Phase, Profile
from functions.identity.standings import PEOPLE, PROFILE, STANDING
from functions.identity.team_repository import Stored
from shared.kernel.ids import PersonId
from shared.store.paging import all_documents
from shared.store.port import Create, Delete, Document, NotFound, Replace, Store, Write

_ERASURE = "erasure"


class PeopleRepository:
    """Reads and writes what identity keeps of a person beside their standing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def profile(self, person_id: PersonId) -> Stored[Profile] | None:
        """The profile; None: they were never here, and no admin looked for them."""
        found = await self._read(person_id, PROFILE)
        return Stored(Profile.model_validate(found.value), found.etag) if found else None

    async def save_profile(self, profile: Stored[Profile], *, beside: Sequence[Write] = ()) -> None:
        """Write a profile over the version it was read at, and what comes with the change.

        :raises StaleWrite, AlreadyExists, NotFound: somebody else was faster
        """
        value = {"kind": PROFILE, **profile.value.model_dump(mode="json")}
        await self._commit(profile.value.person_id, [_write(PROFILE, value, profile.etag), *beside])

    async def erasure(self, person_id: PersonId) -> Stored[Erasure] | None:
        """That they are being erased; None: they are not."""
        found = await self._read(person_id, _ERASURE)
        return Stored(Erasure.model_validate(found.value), found.etag) if found else None

    async def save_erasure(self, erasure: Stored[Erasure], *, beside: Sequence[Write] = ()) -> None:
        """Write how far an erasure is, over the version it was read at.

        :raises StaleWrite, AlreadyExists, NotFound: somebody else was faster
        """
        value = {"kind": _ERASURE, **erasure.value.model_dump(mode="json")}
        ttl = GONE_AFTER_SECONDS if erasure.value.phase is Phase.OVER else None
        await self._commit(erasure.value.person_id, [_write(_ERASURE, value, erasure.etag, ttl), *beside])

    async def documents(self, person_id: PersonId) -> list[Document]:
        """Everything in the person's partition."""
        found = all_documents(lambda continuation: self._store.query(PEOPLE, person_id, continuation=continuation))
        return [document async for document in found]

    async def forget_profile(self, person_id: PersonId) -> None:
        """Delete the profile; none is deleted already."""
        try:
            await self._commit(person_id, [Delete(PROFILE)])
        except NotFound:
            return

    async def let_standing_lapse(self, person_id: PersonId) -> None:
        """Refuse the person for as long as a token of theirs can be good, and then know nothing of them.

        :raises StaleWrite: somebody else changed it
        """
        found = await self._read(person_id, STANDING)
        if found is not None:
            value: dict[str, Any] = {
                "kind": STANDING,
                "memberships": {},
                "roles": None,
                "disabled": True,
                "erased": True,
            }
            await self._commit(person_id, [Replace(STANDING, value, found.etag, GONE_AFTER_SECONDS)])

    async def _read(self, person_id: PersonId, id_: str) -> Document | None:
        try:
            return await self._store.read(PEOPLE, person_id, id_)
        except NotFound:
            return None

    async def _commit(self, person_id: PersonId, writes: Sequence[Write]) -> None:
        await self._store.commit(PEOPLE, person_id, writes)


def _write(id_: str, value: dict[str, Any], etag: str, ttl_seconds: int | None = None) -> Write:
    return Replace(id_, value, etag, ttl_seconds) if etag else Create(id_, value, ttl_seconds)
