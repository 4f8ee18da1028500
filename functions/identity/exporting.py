"""Giving people everything that is held of them, in one document."""

from collections.abc import Sequence
from typing import Final

from shared.audit import AUDIT
from shared.kernel.ids import PersonId
from shared.personal_data import Held, PersonalData

ITEMS_MAX: Final = 5_000  # some 10 MB; nobody buys as much, but somebody may sell as much at a desk


class Exporting:
    """Collects what each context holds.

    :param parts: what holds personal data, each context's
    """

    def __init__(self, parts: Sequence[PersonalData]) -> None:
        self._parts = parts

    async def export(self, person_id: PersonId) -> tuple[list[Held], bool]:
        """What is held of the person, and whether that is all of it: at most `ITEMS_MAX` things are given."""
        found: list[Held] = []
        for part in self._parts:
            async for held in part.export(person_id):
                if len(found) == ITEMS_MAX:
                    return found, False
                found.append(held)
        return found, True

    async def knows(self, person_id: PersonId) -> bool:
        """Whether anything is held of the person: a profile, a standing, an order, and so on.

        The audit trail says nothing here: it keeps who was forgotten, and whomever an admin mistyped.
        """
        for part in self._parts:
            async for held in part.export(person_id):
                if not held.where.startswith(f"{AUDIT}/"):
                    return True
        return False
