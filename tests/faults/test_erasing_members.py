"""Forgetting people who work for organisers: teams keep an owner and true counters, and nobody is trapped as one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from functions.identity.erasing import ERASURES, ErasureWaits
from functions.identity.invitations import InvitationCodes
from functions.identity.people import BeingErased
from functions.identity.team_repository import Stored, TeamRepository
from functions.identity.teams import ConsentMissing, LastOwner, Member
from shared.auth.permissions import Caller, Membership
from shared.bus.port import Message
from shared.events.identity import ErasePerson
from shared.kernel.ids import PersonId
from tests.factories import catalog
from tests.factories import settings as factory
from tests.faults.lifetime import Life

NOW = catalog.NOW
HOUSE = catalog.organiser_id("house")
ROUNDS_MAX = 40


def somebody(name: str) -> Caller:
    return Caller(person_id=catalog.person(name), name=name, email=f"{name}@mail.example")


ANN, BOB = somebody("ann"), somebody("bob")


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    """A house of Ann's; Bob was here."""
    life = Life(tmp_path)
    cases = life.cases()
    for who in (ANN, BOB):
        await cases.accounts.profiles.seen(who, NOW)
    await cases.belonging.own(ANN.person_id, HOUSE, "House", NOW)
    yield life
    life.stack.close()


async def begin(life: Life, who: Caller) -> None:
    await life.cases().accounts.erasing.begin(
        who.person_id, user_id="", email=who.email, confirmed=True, now=life.clock.now
    )


async def carry_out(life: Life, *, rounds_max: int = ROUNDS_MAX) -> list[Message]:
    """The consumer takes what is there, when it is due; what it still has to do after so many rounds."""
    waiting: list[Message] = []
    for _ in range(rounds_max):
        await life.relay(life.cases())
        waiting += life.bag.take(ERASURES)
        if not waiting:
            break
        message = waiting.pop(0)
        life.clock.now = max(life.clock.now, message.due_at or life.clock.now)
        command = ErasePerson.model_validate_json(message.body)
        try:
            await life.cases().accounts.erasing.carry_out(command.person_id, now=life.clock.now)
        except ErasureWaits:
            waiting.append(replace(message, due_at=life.clock.now + timedelta(minutes=1)))
    await life.relay(life.cases())
    return waiting + life.bag.queues.get(ERASURES, [])


async def made_owner(life: Life, who: PersonId) -> None:
    """The team knows; whoever made it so died before the standing was told."""
    teams = TeamRepository(life.store)
    team = await teams.team(HOUSE)
    assert team is not None
    member = Member(organiser_id=HOUSE, person_id=who, role=Membership.OWNER, since=NOW, by=ANN.person_id)
    changed = team.value.changed(None, Membership.OWNER)
    await teams.save(HOUSE, team=Stored(changed, team.etag), member=Stored(member))


async def team_of(life: Life) -> tuple[int, int, dict[str, str]]:
    """What the team counts (owners, members), and who really is what."""
    team = await TeamRepository(life.store).team(HOUSE)
    assert team is not None
    page = await life.store.query("teams", HOUSE, limit=200)
    there = {each.value["person_id"]: each.value["role"] for each in page.documents if each.value["kind"] == "member"}
    return team.value.owners, team.value.members, there


async def test_what_only_the_team_knows_is_left_by_its_rules_and_its_last_owner_stays(life: Life) -> None:
    await made_owner(life, BOB.person_id)

    await begin(life, BOB)
    left = await carry_out(life)

    assert left == []
    assert await team_of(life) == (1, 1, {ANN.person_id: "owner"})
    with pytest.raises(LastOwner):
        await life.cases().belonging.remove(HOUSE, ANN.person_id, by=ANN.person_id, now=NOW)


async def test_who_is_made_something_after_their_erasing_began_is_swept_by_the_teams_rules(life: Life) -> None:
    await begin(life, BOB)
    await made_owner(life, BOB.person_id)  # by a process that had not heard of it

    assert await carry_out(life) == []
    assert await team_of(life) == (1, 1, {ANN.person_id: "owner"})


async def test_whoever_is_being_erased_is_made_nothing(life: Life) -> None:
    cases = life.cases()
    invitation = await cases.inviting.invite(HOUSE, BOB.email, Membership.OWNER, by=ANN.person_id, now=NOW)
    code = InvitationCodes(factory.SIGNING_SECRET.encode()).code(invitation)
    await begin(life, BOB)
    before = await team_of(life)

    with pytest.raises(BeingErased):
        await cases.belonging.set_role(HOUSE, BOB.person_id, Membership.CREATOR, by=ANN.person_id, now=NOW)
    with pytest.raises(BeingErased):
        await cases.inviting.accept(code, BOB.person_id, now=NOW)

    assert await team_of(life) == before


async def test_nobody_owns_an_organiser_who_did_not_agree_to_work_there(life: Life) -> None:
    belonging, bob = life.cases().belonging, BOB.person_id
    for role in (None, Membership.OPERATOR):
        if role is not None:
            await belonging.set_role(HOUSE, bob, role, by=ANN.person_id, now=NOW)
        before = await team_of(life)
        with pytest.raises(ConsentMissing):
            await belonging.set_role(HOUSE, bob, Membership.OWNER, by=ANN.person_id, now=NOW)
        assert await team_of(life) == before
    await belonging.set_role(HOUSE, bob, Membership.OWNER, by="an admin", now=NOW, trusted=True)
    assert (await team_of(life))[0] == 2


async def test_who_accepted_an_invitation_can_be_made_an_owner_until_they_left(life: Life) -> None:
    cases, bob = life.cases(), BOB.person_id
    invitation = await cases.inviting.invite(HOUSE, BOB.email, Membership.OPERATOR, by=ANN.person_id, now=NOW)
    await cases.inviting.accept(InvitationCodes(factory.SIGNING_SECRET.encode()).code(invitation), bob, now=NOW)

    for role in (Membership.CREATOR, Membership.OWNER):
        await cases.belonging.set_role(HOUSE, bob, role, by=ANN.person_id, now=NOW)
    assert (await team_of(life))[2][bob] == "owner"
    await cases.belonging.remove(HOUSE, bob, by=ANN.person_id, now=NOW)

    with pytest.raises(ConsentMissing):
        await cases.belonging.set_role(HOUSE, bob, Membership.OWNER, by=ANN.person_id, now=NOW)


async def test_who_became_an_only_owner_meanwhile_is_forgotten_but_for_that_until_an_admin_hands_it_over(
    life: Life,
) -> None:
    await begin(life, BOB)
    await made_owner(life, BOB.person_id)
    cases = life.cases()
    await cases.belonging.remove(HOUSE, ANN.person_id, by=ANN.person_id, now=NOW)

    assert len(await carry_out(life, rounds_max=3)) == 1
    assert life.mentions(BOB.email) <= {f"people/{BOB.person_id}/erasure"}
    assert life.mentions(BOB.name) <= {f"people/{BOB.person_id}/erasure"}
    assert (await team_of(life))[0] == 1

    await life.cases().belonging.set_role(
        HOUSE, ANN.person_id, Membership.OWNER, by="an admin", now=life.clock.now, trusted=True
    )
    assert await carry_out(life) == []

    assert await team_of(life) == (1, 1, {ANN.person_id: "owner"})
