"""What catalog holds of a person: which organisers they created."""

from collections.abc import AsyncIterator
from datetime import datetime

from functions.catalog.repository import ORGANISERS
from shared.kernel.ids import PersonId
from shared.personal_data import Held
from shared.store.port import Store
from shared.traces import Traces

_CREATED_BY = "created_by"


class PersonalOrganisers:
    """Gives out and loses who created organisers."""

    def __init__(self, store: Store) -> None:
        self._traces = Traces(store, ORGANISERS)

    async def export(self, person_id: PersonId) -> AsyncIterator[Held]:
        """Every organiser the person created."""
        async for document in self._traces.found(_CREATED_BY, person_id):
            yield Held.of(ORGANISERS, document)

    async def erase(self, person_id: PersonId, *, now: datetime) -> bool:
        """Lose who created them.

        :returns: whether that was all
        """
        return await self._traces.blank(_CREATED_BY, person_id)
