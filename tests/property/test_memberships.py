"""Teams under everything that can happen: the last owner stays, and what people may do follows what the team decided.

The oracle is a dictionary: who is what. Acts that died count as done or as not done, whichever the team's own documents
say, and nothing in between.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from functions.identity.belonging import Belonging
from functions.identity.invitations import (
    AlreadyMember,
    Invitation,
    InvitationCodes,
    InvitationOver,
    InvitationState,
)
from functions.identity.inviting import Inviting
from functions.identity.standings import Standings
from functions.identity.team_repository import TEAMS, TeamRepository
from functions.identity.teams import LastOwner
from shared.auth.permissions import Membership
from shared.kernel.errors import DomainError, NotFound
from shared.kernel.ids import OrganiserId, PersonId
from shared.store.chaos import ChaosStore, Misbehaviour
from shared.store.embedded import EmbeddedStore
from shared.store.port import Store
from shared.topology import topology
from tests.doubles.stores import Blind
from tests.factories.catalog import organiser_id, person
from tests.property.interleaving import SteppingStore, Turns, Work, every_schedule
from tests.property.world import Died, Mortal

ROUNDS: Final = int(os.environ.get("TORTURE_ROUNDS", "1"))
START: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUSE: Final[OrganiserId] = organiser_id()
NAMES: Final = ("ann", "bob", "cleo", "dora")
SCHEDULES_MAX: Final = 100
people = st.sampled_from(NAMES)
roles = st.sampled_from(list(Membership))
deaths = st.none() | st.tuples(st.integers(0, 2), st.booleans())
chaos = st.sampled_from(["", "", "lost_answer", "lost_request", "throttled", "locked"])


@dataclass
class Office:
    """Identity on a store."""

    standings: Standings
    belonging: Belonging
    inviting: Inviting

    @classmethod
    def on(cls, store: Store) -> "Office":
        """The use cases of one process."""
        teams, standings = TeamRepository(store), Standings(store)

        async def anybody(_: PersonId) -> bool:
            return True

        belonging = Belonging(teams, standings, anybody)
        return cls(standings, belonging, Inviting(teams, belonging, InvitationCodes(b"a secret of ours")))


async def roles_in(store: Store) -> dict[PersonId, Membership]:
    """Who is what, by the team's own documents."""
    page = await store.query(TEAMS, HOUSE, limit=200)
    members = [each.value for each in page.documents if each.value["kind"] == "member"]
    return {PersonId(each["person_id"]): Membership(each["role"]) for each in members if each["role"]}


class Memberships(RuleBasedStateMachine):
    """Owners and the invited act; processes die and the store misbehaves."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.store = EmbeddedStore(Path(self.folder.name) / "store.db", topology(), b"x" * 32)
        self.now = START
        self.said: dict[PersonId, Membership] = {}
        self.codes: list[str] = []

    def teardown(self) -> None:
        self.store.close()
        self.runner.close()
        self.folder.cleanup()

    def act[T](
        self, work: Callable[[Office], Awaitable[T]], death: tuple[int, bool] | None, trouble: str = ""
    ) -> T | Exception | None:
        """What came of an act of a process of its own: its result, its refusal, or None if it died."""
        seed = 10 * len(self.said) + len(trouble)  # the same in each process, unlike a hash of text
        chaotic = ChaosStore(self.store, seed=seed, misbehaviour=Misbehaviour(**({trouble: 0.4} if trouble else {})))
        dies_at, after = death or (None, False)
        office = Office.on(Mortal(chaotic, dies_at, after=after))

        async def acted() -> T:
            return await work(office)

        try:
            return self.runner.run(acted())
        except Died:
            return None
        except DomainError as refusal:
            return refusal

    def happened(self, was: dict[PersonId, Membership], becomes: dict[PersonId, Membership], result: object) -> None:
        """Take over what an act did: all of it if it was answered, none if refused, either if it died."""
        found = self.runner.run(roles_in(self.store))
        if result is None or (isinstance(result, DomainError) and result.kind.value in {"contended", "unavailable"}):
            assert found in (was, becomes)
        elif isinstance(result, DomainError):
            assert found == was, result
        else:
            assert found == becomes
        self.said = found

    @initialize()
    def founded(self) -> None:
        """An organiser with its first owner."""
        self.act(lambda office: office.belonging.own(person("ann"), HOUSE, "House", self.now), None)
        self.said = {person("ann"): Membership.OWNER}

    @rule(name=people, role=roles, death=deaths, trouble=chaos)
    def set_role(self, name: str, role: Membership, death: tuple[int, bool] | None, trouble: str) -> None:
        """An owner makes somebody something."""
        was, who = dict(self.said), person(name)
        result = self.act(
            lambda office: office.belonging.set_role(HOUSE, who, role, by="o", now=self.now, trusted=True),
            death,
            trouble,
        )
        becomes = {**was, who: role}
        if Membership.OWNER not in becomes.values():
            assert result is None or isinstance(result, LastOwner) or death or trouble
            becomes = was
        self.happened(was, becomes, result)

    @rule(name=people, death=deaths, trouble=chaos)
    def remove(self, name: str, death: tuple[int, bool] | None, trouble: str) -> None:
        """An owner removes somebody, or they leave."""
        was, who = dict(self.said), person(name)
        result = self.act(lambda office: office.belonging.remove(HOUSE, who, by="o", now=self.now), death, trouble)
        becomes = {each: role for each, role in was.items() if each != who}
        if Membership.OWNER not in becomes.values():
            assert result is None or isinstance(result, LastOwner) or death or trouble
            becomes = was
        # `remove` answers nothing: that it lived shows from there being no death.
        self.happened(was, becomes, "removed" if result is None and death is None else result)

    @rule(name=people, role=roles, trouble=chaos)
    def invite(self, name: str, role: Membership, trouble: str) -> None:
        """An owner invites an address; its newest code is kept."""
        was = dict(self.said)
        result = self.act(
            lambda office: office.inviting.invite(HOUSE, f"{name}@house.example", role, by="o", now=self.now),
            None, trouble,
        )  # fmt: skip
        if isinstance(result, Invitation):
            self.codes.append(InvitationCodes(b"a secret of ours").code(result))
        self.happened(was, was, result)

    @precondition(lambda self: self.codes)
    @rule(n=st.integers(0, 50), name=people, death=deaths, trouble=chaos)
    def accept(self, n: int, name: str, death: tuple[int, bool] | None, trouble: str) -> None:
        """Somebody follows a link, whoever's and however old."""
        was, who, code = dict(self.said), person(name), self.codes[n % len(self.codes)]
        before = self.invitation(code)
        result = self.act(lambda office: office.inviting.accept(code, who, now=self.now), death, trouble)
        good = (
            before is not None
            and before.state is InvitationState.OPEN
            and self.now - before.mailed_at < timedelta(days=7)
            and who not in was
        )
        becomes = {**was, who: before.role} if good and before is not None else was
        if not good and not death and not trouble and not (before and before.accepted_by == who):
            assert isinstance(result, InvitationOver | AlreadyMember | NotFound)
        self.happened(was, becomes, result)

    @rule(hours=st.integers(0, 100))
    def pass_time(self, hours: int) -> None:
        """Invitations grow old."""
        self.now += timedelta(hours=hours)

    @invariant()
    def the_team_counts_itself(self) -> None:
        """There is an owner, and the counters are true."""
        if not self.said:
            return
        team = self.runner.run(TeamRepository(self.store).team(HOUSE))
        assert team is not None
        owners = list(self.said.values()).count(Membership.OWNER)
        assert (team.value.owners, team.value.members) == (owners, len(self.said))
        assert owners >= 1

    @invariant()
    def the_feed_brings_every_standing(self) -> None:
        """Whoever died: once the feed looked at the team, each may do what the team says, and nothing else."""

        async def copied() -> dict[PersonId, Membership]:
            office = Office.on(self.store)
            for name in NAMES:
                await office.belonging.copy(HOUSE, person(name))
            standing = {person(name): await office.standings.read(person(name)) for name in NAMES}
            return {who: found.memberships[HOUSE] for who, found in standing.items() if HOUSE in found.memberships}

        assert self.runner.run(copied()) == self.said

    def invitation(self, code: str) -> Invitation | None:
        """The invitation whose newest mail had this code."""
        said = InvitationCodes(b"a secret of ours").read(code)
        assert said is not None
        read = self.runner.run(TeamRepository(self.store).invitation(said.organiser_id, said.invitation_id))
        return read.value if read and read.value.nonce == said.nonce else None


Memberships.TestCase.settings = settings(
    max_examples=15 * ROUNDS,
    stateful_step_count=20,
    deadline=None,
    derandomize=ROUNDS == 1,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestMemberships = Memberships.TestCase


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    inner = EmbeddedStore(tmp_path / "store.db", topology(), b"x" * 32)
    yield inner
    inner.close()


async def founded(store: Store, n: int) -> tuple[OrganiserId, PersonId, PersonId]:
    """An organiser with two owners of its own."""
    house, ann, bob = organiser_id(f"house {n}"), person(f"ann {n}"), person(f"bob {n}")
    office = Office.on(store)
    await office.belonging.own(ann, house, "House", START)
    await office.belonging.set_role(house, bob, Membership.OWNER, by=ann, now=START, trusted=True)
    return house, ann, bob


async def owners_left(store: Store, turns: Turns, n: int) -> int:
    """How many owners there are after two removed each other."""
    house, ann, bob = await founded(store, n)

    def removal(by: PersonId, who: PersonId) -> Work:
        office = Office.on(SteppingStore(store, turns))
        return lambda: office.belonging.remove(house, who, by=by, now=START)

    await turns.drive({"ann": removal(ann, bob), "bob": removal(bob, ann)})
    page = await store.query(TEAMS, house, limit=200)
    return sum(each.value.get("role") == "owner" for each in page.documents)


async def test_two_owners_who_remove_each_other_leave_one_in_every_interleaving(store: EmbeddedStore) -> None:
    for n, turns in enumerate(every_schedule(SCHEDULES_MAX)):
        assert await owners_left(store, turns, n) == 1


async def test_without_the_teams_etag_nobody_would_be_left(store: EmbeddedStore) -> None:
    left = 2
    for n, turns in enumerate(every_schedule(SCHEDULES_MAX)):
        left = await owners_left(Blind(store), turns, n)
        if left == 0:
            break

    assert left == 0


async def given_and_taken(store: Store, turns: Turns, n: int) -> tuple[Membership | None, Membership | None]:
    """What the team and the standing say of somebody who was made something and removed at the same time."""
    house, ann, bob = await founded(store, n)
    given, taken = Office.on(SteppingStore(store, turns)), Office.on(SteppingStore(store, turns))
    await turns.drive(
        {
            "given": lambda: given.belonging.set_role(house, bob, Membership.CREATOR, by=ann, now=START),
            "taken": lambda: taken.belonging.remove(house, bob, by=ann, now=START),
        }
    )
    member = await TeamRepository(store).member(house, bob)
    standing = await Office.on(store).standings.read(bob)
    return member.value.role if member else None, standing.memberships.get(house)


async def test_of_a_role_given_and_taken_at_once_the_standing_is_what_the_team_says(store: EmbeddedStore) -> None:
    for n, turns in enumerate(every_schedule(SCHEDULES_MAX)):
        team, standing = await given_and_taken(store, turns, n)
        assert team == standing


async def test_without_the_standings_etag_it_could_say_otherwise(store: EmbeddedStore) -> None:
    found = []
    for n, turns in enumerate(every_schedule(SCHEDULES_MAX)):
        found.append(await given_and_taken(Blind(store), turns, n))
        if found[-1][0] != found[-1][1]:
            break

    assert found[-1][0] != found[-1][1]
