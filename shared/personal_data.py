"""What is held of a person: every context that holds some can give it out and lose it.

The contexts know each other only downwards, and identity none of them; so each implements this, and composition hands
them all to identity.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.kernel.ids import PersonId
from shared.store.port import Document


@dataclass(frozen=True, slots=True)
class Held:
    """One thing that is held of a person.

    :param kind: what it is, e.g. `order`
    :param where: where it is kept: container, partition and id
    :param data: what it says of them; of things that are others' too, only that
    """

    kind: str
    where: str
    data: Mapping[str, Any]

    @classmethod
    def of(cls, container: str, document: Document, *only: str) -> "Held":
        """A stored document, whole or only these of its properties."""
        value = {name: document.value[name] for name in only or document.value if name in document.value}
        return cls(str(document.value["kind"]), f"{container}/{document.partition}/{document.id}", value)


class PersonalData(Protocol):
    """A context's part of what is held of a person."""

    def export(self, person_id: PersonId) -> AsyncIterator[Held]:
        """Everything, one by one."""
        ...

    async def erase(self, person_id: PersonId, *, now: datetime) -> bool:
        """Lose the person; again changes nothing, and what an earlier try did not get to is done.

        :returns: whether all of it is done; otherwise it is to be asked again later
        """
        ...


class AtStake(Protocol):
    """What a person would lose beyond being known."""

    async def __call__(self, person_id: PersonId, now: datetime) -> Sequence[str]:
        """In words, e.g. `2 tickets for “Concert” on 2026-12-01`."""
        ...
