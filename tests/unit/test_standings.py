"""What is remembered of people and keys ends: within a minute elsewhere, at its own time everywhere."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.identity.belonging import Belonging
from functions.identity.invitations import Invitation, InvitationOver, InvitedJustNow
from functions.identity.keyring import KEYS_MAX, Keyring
from functions.identity.service_keys import ServiceKeyOver, TooManyKeys
from functions.identity.standings import Standings
from functions.identity.team_repository import TeamRepository
from functions.identity.teams import (
    INVITATIONS_A_DAY_MAX,
    MEMBERS_MAX,
    MEMBERSHIPS_MAX,
    Team,
    TooManyInvitations,
    TooManyMembers,
    TooManyMemberships,
)
from shared.auth.permissions import Membership, Permission, Role
from shared.auth.service_tokens import ServiceKeyId
from shared.auth.tokens import TokenRefused
from shared.kernel.ids import PersonId
from shared.store.embedded import EmbeddedStore
from shared.topology import topology
from tests.factories.catalog import organiser_id, owner, person

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
OWNER = owner(organiser_id())
HALF_A_MINUTE, DAY = timedelta(seconds=31), timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "store.db", topology(), b"x" * 32)
    yield opened
    opened.close()


async def test_another_process_learns_within_half_a_minute_what_a_person_may_do(store: EmbeddedStore) -> None:
    here, elsewhere, ann = Standings(store), Standings(store), person("ann")
    assert not (await elsewhere.of(ann, NOW)).disabled

    await here.set_disabled(ann, True)
    await here.set_roles(ann, frozenset({Role.OPERATOR}))

    assert (await here.of(ann, NOW)).disabled
    assert (await elsewhere.of(ann, NOW + HALF_A_MINUTE)).disabled
    assert (await elsewhere.of(ann, NOW + HALF_A_MINUTE)).roles == frozenset({Role.OPERATOR})


async def test_a_clock_that_is_set_back_keeps_nothing_for_longer(store: EmbeddedStore) -> None:
    here, elsewhere, ann = Standings(store), Standings(store), person("ann")
    await elsewhere.of(ann, NOW)
    await here.set_disabled(ann, True)

    assert (await elsewhere.of(ann, NOW - timedelta(minutes=50))).disabled


async def made(store: EmbeddedStore, life: timedelta = DAY) -> str:
    _, token = await Keyring(store).make(
        organiser_id=organiser_id(), name="Door", scopes=[Permission.CHECK_IN], by="per_a", life=life, now=NOW
    )
    return token


async def good(keyring: Keyring, token: str, now: datetime) -> bool:
    try:
        return bool((await keyring.caller(token, now)).service)
    except TokenRefused:
        return False


async def test_another_process_learns_within_half_a_minute_that_a_key_was_revoked(store: EmbeddedStore) -> None:
    token, here, elsewhere = await made(store), Keyring(store), Keyring(store)
    assert await good(elsewhere, token, NOW)

    caller = await here.caller(token, NOW)
    await here.revoke(ServiceKeyId(caller.service), caller=OWNER, now=NOW)

    assert not await good(here, token, NOW)
    assert not await good(elsewhere, token, NOW + HALF_A_MINUTE)
    assert not await good(elsewhere, token, NOW - timedelta(minutes=5))


async def test_a_key_ends_by_itself(store: EmbeddedStore) -> None:
    token, keyring = await made(store), Keyring(store)

    assert await good(keyring, token, NOW + DAY - timedelta(seconds=1))
    assert not await good(keyring, token, NOW + DAY)
    caller = await keyring.caller(token, NOW)
    with pytest.raises(ServiceKeyOver):
        await keyring.rotate(ServiceKeyId(caller.service), caller=OWNER, overlap=DAY, now=NOW + DAY)


async def test_a_rotated_keys_token_is_good_until_the_overlap_ends_and_the_one_before_it_for_nothing(
    store: EmbeddedStore,
) -> None:
    first, keyring, hour = await made(store, 10 * DAY), Keyring(store), timedelta(hours=1)
    key_id = ServiceKeyId((await keyring.caller(first, NOW)).service)

    _, second = await keyring.rotate(key_id, caller=OWNER, overlap=hour, now=NOW)
    fresh = Keyring(store)
    assert [await good(fresh, token, NOW) for token in (first, second)] == [True, True]
    assert [await good(fresh, token, NOW + hour) for token in (first, second)] == [False, True]

    _, third = await keyring.rotate(key_id, caller=OWNER, overlap=hour, now=NOW)
    assert [await good(Keyring(store), token, NOW) for token in (first, second, third)] == [False, True, True]


async def test_an_owner_has_a_bounded_number_of_keys(store: EmbeddedStore) -> None:
    for _ in range(KEYS_MAX):
        await made(store)

    with pytest.raises(TooManyKeys):
        await made(store)


def invitation(**changes: object) -> Invitation:
    given = Invitation(
        invitation_id="inv_" + "a" * 26, organiser_id=organiser_id(), email="ned@school.example",
        role=Membership.OPERATOR, by="per_a", mailed_at=NOW, expires_at=NOW + timedelta(days=7), changed_at=NOW,
        nonce="a",
    )  # fmt: skip
    return given.model_copy(update=changes)


def test_an_invitation_is_good_for_seven_days_and_no_longer() -> None:
    ann, week = person("ann"), timedelta(days=7)

    assert invitation().accepted(ann, nonce="a", now=NOW + week - timedelta(seconds=1)).accepted_by == ann
    with pytest.raises(InvitationOver):
        invitation().accepted(ann, nonce="a", now=NOW + week)


def test_only_the_newest_mails_code_is_good() -> None:
    again = invitation().again(role=Membership.CREATOR, by="per_b", nonce="b", now=NOW + timedelta(minutes=10))

    assert (again.role, again.expires_at) == (Membership.CREATOR, NOW + timedelta(days=7, minutes=10))
    with pytest.raises(InvitationOver):
        again.accepted(person("ann"), nonce="a", now=NOW + timedelta(minutes=11))
    assert again.accepted(person("ann"), nonce="b", now=NOW + timedelta(minutes=11)).accepted_by == person("ann")


def test_an_address_rests_for_ten_minutes() -> None:
    with pytest.raises(InvitedJustNow) as refused:
        invitation().again(role=Membership.OWNER, by="per_a", nonce="b", now=NOW + timedelta(minutes=9))

    assert refused.value.facts["retry_after_seconds"] == 61


def test_a_team_has_bounds() -> None:
    full = Team(organiser_id=organiser_id(), name="House", owners=1, members=MEMBERS_MAX)
    with pytest.raises(TooManyMembers):
        full.changed(None, Membership.OPERATOR)
    assert full.changed(Membership.OPERATOR, None).members == MEMBERS_MAX - 1

    today = NOW.date()
    busy = Team(organiser_id=organiser_id(), name="House", invited_on=today, invited=INVITATIONS_A_DAY_MAX)
    with pytest.raises(TooManyInvitations):
        busy.invited_one(today)
    assert busy.invited_one(today + DAY).invited == 1


async def test_a_person_belongs_to_a_bounded_number_of_organisers(store: EmbeddedStore) -> None:
    async def anybody(_: PersonId) -> bool:
        return True

    belonging = Belonging(TeamRepository(store), Standings(store), anybody)
    for n in range(MEMBERSHIPS_MAX):
        await belonging.own(person("ann"), organiser_id(f"house {n}"), "House", NOW)

    with pytest.raises(TooManyMemberships):
        await belonging.own(person("ann"), organiser_id("one more"), "House", NOW)
    await belonging.own(person("bob"), organiser_id("bob's"), "House", NOW)
    with pytest.raises(TooManyMemberships):
        await belonging.set_role(organiser_id("bob's"), person("ann"), Membership.CREATOR, by="per_b", now=NOW)
    assert len((await Standings(store).read(person("ann"))).memberships) == MEMBERSHIPS_MAX
