"""What we say of people ourselves: where they belong, what an admin made them, whether they may do anything at all.

One document a person, so that a sign-in reads it at once. Memberships in it are a copy: the team decides
(`functions/identity/teams.py`), and its change feed brings late copies.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from functions.identity.people import BeingErased
from shared.auth.gate import Standing
from shared.auth.permissions import Membership, Role
from shared.kernel.ids import OrganiserId, PersonId
from shared.retry import TRANSIENT, retry
from shared.store.port import AlreadyExists, Create, NotFound, Replace, StaleWrite, Store, Value

PEOPLE: Final = "people"
STANDING: Final = "standing"
PROFILE: Final = "profile"  # written when they are first here (`functions/identity/profiles.py`)
REMEMBERED: Final = timedelta(seconds=30)  # a change takes effect everywhere within this time
REMEMBERED_MAX: Final = 10_000

type RoleOf = Callable[[], Awaitable[Membership | None]]


class Standings:
    """Reads and writes people's standing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._remembered: OrderedDict[PersonId, tuple[Standing, datetime]] = OrderedDict()

    async def of(self, person_id: PersonId, now: datetime) -> Standing:
        """The person's standing, at most 30 seconds old."""
        known = self._remembered.get(person_id)
        if known is not None and abs(now - known[1]) < REMEMBERED:  # whichever way somebody sets the clock
            return known[0]
        standing = await self.read(person_id)
        self._remembered[person_id] = (standing, now)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return standing

    async def read(self, person_id: PersonId) -> Standing:
        """The person's standing as it is stored now."""
        value, _ = await self._read(person_id)
        return _standing(value)

    async def known(self, person_id: PersonId) -> bool:
        """Whether the person was ever here."""
        try:
            await self._store.read(PEOPLE, person_id, PROFILE)
        except NotFound:
            return False
        return True

    async def set_roles(self, person_id: PersonId, roles: frozenset[Role] | None) -> None:
        """Give the person these roles on the platform, in place of those in their tokens; None: those count again.

        :raises Contended: too many changes at once
        """
        shown = None if roles is None else sorted(role.value for role in roles)

        async def decide(value: Value) -> Value:
            return {**value, "roles": shown}

        await self._change(person_id, decide)

    async def set_disabled(self, person_id: PersonId, disabled: bool) -> None:
        """Let the person do nothing any more, or let them again.

        :raises Contended: too many changes at once
        """

        async def decide(value: Value) -> Value:
            return {**value, "disabled": disabled}

        await self._change(person_id, decide)

    async def lock_erased(self, person_id: PersonId) -> None:
        """Let the person do nothing, for good: they are to be forgotten, and `set_disabled` does not undo it.

        :raises Contended: too many changes at once
        """

        async def decide(value: Value) -> Value:
            return {**value, "erased": True}

        await self._change(person_id, decide)

    async def refuse_if_erased(self, person_id: PersonId) -> None:
        """Nothing, for somebody who is to stay.

        :raises BeingErased: anybody else
        """
        value, _ = await self._read(person_id)
        if value["erased"]:
            raise BeingErased("This person is being erased; that cannot be taken back.")

    async def copy(self, person_id: PersonId, organiser_id: OrganiserId, role_of: RoleOf) -> None:
        """Write down what the person is to an organiser.

        :param role_of: reads that from the team. It is asked after the standing was read: so a role that was read
            before a newer one was copied meets a standing that has moved, and is read again
        :raises Contended: too many changes at once
        """

        async def decide(value: Value) -> Value:
            role = await role_of()
            others = {key: there for key, there in value["memberships"].items() if key != organiser_id}
            return {**value, "memberships": others if role is None else {**others, organiser_id: role.value}}

        await self._change(person_id, decide)

    async def _change(self, person_id: PersonId, decide: Callable[[Value], Awaitable[Value]]) -> None:
        """Write the standing as `decide` leaves it; what changes nothing writes nothing."""

        async def attempt() -> None:
            before, etag = await self._read(person_id)
            after = await decide(before)
            if after != before:
                write = Replace(STANDING, after, etag) if etag else Create(STANDING, after)
                await self._store.commit(PEOPLE, person_id, [write])

        await retry(attempt, on=(AlreadyExists, StaleWrite, NotFound, *TRANSIENT))
        self._remembered.pop(person_id, None)

    async def _read(self, person_id: PersonId) -> tuple[Value, str]:
        try:
            document = await self._store.read(PEOPLE, person_id, STANDING)
        except NotFound:
            return {"kind": STANDING, "memberships": {}, "roles": None, "disabled": False, "erased": False}, ""
        value = {key: document.value[key] for key in ("kind", "memberships", "roles", "disabled")}
        value["erased"] = document.value.get("erased", False)
        return value, document.etag


def _standing(value: Value) -> Standing:
    roles = value["roles"]
    return Standing(
        memberships={OrganiserId(key): Membership(role) for key, role in value["memberships"].items()},
        roles=None if roles is None else frozenset(map(Role, roles)),
        disabled=bool(value["disabled"] or value["erased"]),
        erased=bool(value["erased"]),
    )
