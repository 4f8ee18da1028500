"""Administering people while the directory is away, people come in at the same moment, or are being forgotten."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from functions.identity.invitations import MAILED_AGAIN_AFTER
from functions.identity.people import BeingErased
from functions.identity.people_repository import PeopleRepository
from functions.identity.users import NoDirectory, OwnAccount, Users
from shared.audit import PLATFORM, AuditEntry, Step
from shared.auth.permissions import Caller, Role
from shared.auth.tokens import TokenValidator
from shared.directory.port import DirectoryUnavailable
from shared.kernel.clock import utc_now
from shared.kernel.errors import NotFound
from shared.kernel.ids import PersonId, person_id_of
from tests.doubles.authority import AUDIENCE, tenants
from tests.factories import catalog, sales
from tests.faults.lifetime import Life

ISSUER = "https://login.example.org/tenant/v2.0"
OID = "oid-nora"
NORA = person_id_of(ISSUER, OID)
NOW = catalog.NOW


class Issuer:
    """Whose tokens the directory's people bear."""

    async def directory_issuer(self, now: datetime) -> str:
        return ISSUER


@dataclass
class Office:
    """Users over a store and a directory, and the admin who sits there."""

    life: Life
    users: Users
    admin: Caller

    async def disabled(self) -> tuple[bool, bool]:
        """Whether Nora is, here and in the directory."""
        standing = await self.users.standings.read(NORA)
        return standing.disabled, not self.life.accounts.users[OID].enabled

    def invitations(self) -> list[str]:
        """What is to be mailed to her."""
        return sorted(where for where in self.life.rows() if "outbox:inv_" in where)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    life = Life(tmp_path)
    life.accounts.add(OID, "nora@mail.example", "Nora New")
    users = replace(life.cases().accounts.users, issuers=Issuer(), people=PeopleRepository(life.store))
    yield Office(life, users, replace(sales.buyer("boss"), roles=frozenset({Role.ADMIN})))
    life.stack.close()


async def found(office: Office) -> PersonId:
    """Nora, as a search shows her."""
    [(person_id, _)], _ = await office.users.find("Nora", limit=10, continuation=None, now=NOW)
    return person_id


async def test_whom_a_search_showed_can_be_asked_for_and_is_who_later_comes_in(office: Office) -> None:
    assert await found(office) == await found(office) == NORA
    before = (await office.users.get(NORA)).profile
    came = Caller(person_id=NORA, user_id=OID, name="Nora Token", email="nora@new.example")

    after = await office.users.profiles.seen(came, NOW)

    assert (before.user_id, before.seen_at) == (OID, None)
    assert (before.name, before.email) == ("", "")  # which account is hers, and nothing else
    assert (after.name, after.email, after.user_id, after.seen_at) == ("Nora Token", "nora@new.example", OID, NOW)


async def test_searching_keeps_no_names_and_writes_once(office: Office) -> None:
    await found(office)
    before = office.life.rows()
    await found(office)

    assert office.life.rows() == before
    assert office.life.mentions("Nora", "nora@mail.example") == set()
    await office.users.create(email="nora@mail.example", name="Nora New", invite=True, now=NOW)
    profile = (await office.users.get(NORA)).profile
    assert (profile.name, profile.email) == ("Nora New", "nora@mail.example")
    assert len(office.invitations()) == 1


async def test_an_account_that_tokens_did_not_tell_is_learned_by_a_search_and_goes_with_its_person(
    office: Office,
) -> None:
    await office.users.profiles.seen(Caller(person_id=NORA, name="Nora", email="nora@mail.example"), NOW)
    await found(office)

    await office.users.disable(NORA, by=office.admin)
    assert await office.disabled() == (True, True)
    await office.users.erase(NORA, by=office.admin, confirmed=True, now=NOW)
    await office.users.erasing.carry_out(NORA, now=NOW)

    assert office.life.accounts.users == {}


async def test_whoever_never_asked_who_they_are_is_disabled_given_roles_shown_and_erased(office: Office) -> None:
    cases, who = office.life.cases(), sales.buyer("quiet")
    event = await catalog.on_sale(cases)
    wanted = sales.wanted(event.event_id, quantities={"floor": 1}, caller=who)
    order = await cases.placing.place(wanted, order_id=sales.order_id("k", who), caller=who, now=NOW)

    shown = await office.users.get(who.person_id)
    await office.users.disable(who.person_id, by=office.admin)
    await office.users.set_roles(who.person_id, frozenset({Role.USER}), by=office.admin)
    standing = (await office.users.get(who.person_id)).standing
    await office.users.enable(who.person_id, by=office.admin)
    await office.users.erase(who.person_id, by=office.admin, confirmed=True, now=NOW)

    assert (shown.profile.person_id, shown.profile.name) == (who.person_id, "")
    assert (standing.disabled, standing.roles) == (True, frozenset({Role.USER}))
    await cases.settlement.cancel(order.order_id, caller=who, now=NOW)
    await office.users.erasing.carry_out(who.person_id, now=NOW)
    assert (await cases.orders.show(order.order_id, caller=catalog.owner(catalog.organiser_id()))).buyer.name == ""


async def test_nobody_is_shown_renamed_or_erased_of_whom_nothing_is_held(office: Office) -> None:
    nobody = catalog.person("nobody")
    mistyped = AuditEntry(
        audit_id="a", step=Step.INTENT, scope=PLATFORM, at=NOW, who=office.admin.person_id, what="show_user",
        target=nobody, why="", correlation_id="c", request="", details={},
    )  # fmt: skip
    await office.life.cases().trail.begin(mistyped)
    before = office.life.rows()

    for asked in (
        office.users.get(nobody),
        office.users.rename(nobody, "A"),
        office.users.erase(nobody, by=office.admin, confirmed=True, now=NOW),
    ):
        with pytest.raises(NotFound):
            await asked
    assert office.life.rows() == before


async def test_a_token_without_an_address_leaves_the_one_we_know(office: Office) -> None:
    nora = Caller(person_id=NORA, name="Nora", email="nora@mail.example")
    await office.users.profiles.seen(nora, NOW)

    assert (await office.users.profiles.seen(replace(nora, email=""), NOW)).email == "nora@mail.example"


async def test_disabling_keeps_somebody_out_though_the_directory_is_away_and_asking_again_tells_it(
    office: Office,
) -> None:
    await found(office)
    office.life.accounts.away = True

    with pytest.raises(DirectoryUnavailable):
        await office.users.disable(NORA, by=office.admin)
    assert await office.disabled() == (True, False)
    office.life.accounts.away = False
    for _ in range(2):
        await office.users.disable(NORA, by=office.admin)

    assert await office.disabled() == (True, True)
    assert set(office.life.accounts.revoked) == {OID}


async def test_enabling_changes_nothing_while_the_directory_is_away(office: Office) -> None:
    await found(office)
    await office.users.disable(NORA, by=office.admin)
    office.life.accounts.away = True

    with pytest.raises(DirectoryUnavailable):
        await office.users.enable(NORA, by=office.admin)
    assert await office.disabled() == (True, True)
    office.life.accounts.away = False
    await office.users.enable(NORA, by=office.admin)

    assert await office.disabled() == (False, False)


async def test_a_name_is_changed_in_both_places_or_in_none(office: Office) -> None:
    await found(office)
    office.life.accounts.away = True

    with pytest.raises(DirectoryUnavailable):
        await office.users.rename(NORA, "Nora Now")
    office.life.accounts.away = False
    assert (await office.users.get(NORA)).profile.name == ""
    renamed = await office.users.rename(NORA, "Nora Now")

    assert renamed.account is not None
    assert (renamed.profile.name, renamed.account.name) == ("Nora Now", "Nora Now")


async def test_whoever_is_being_forgotten_gets_nothing_back_and_is_not_made_again_by_a_search(office: Office) -> None:
    await found(office)
    for _ in range(2):
        await office.users.erase(NORA, by=office.admin, confirmed=False, now=NOW)

    for asked in (
        office.users.enable(NORA, by=office.admin),
        office.users.disable(NORA, by=office.admin),
        office.users.set_roles(NORA, frozenset({Role.ADMIN}), by=office.admin),
    ):
        with pytest.raises(BeingErased):
            await asked
    await office.users.people.forget_profile(NORA)
    await found(office)

    assert await office.users.people.profile(NORA) is None
    assert (await office.users.standings.read(NORA)).disabled


async def test_whoever_is_forgotten_while_the_directory_enables_them_stays_out(office: Office) -> None:
    await found(office)
    await office.users.disable(NORA, by=office.admin)
    enable = office.life.accounts.enable

    async def slowly(user_id: str) -> None:
        await office.users.erase(NORA, by=office.admin, confirmed=True, now=NOW)
        await office.users.erasing.carry_out(NORA, now=NOW)
        await enable(user_id)

    office.life.accounts.enable = slowly  # type: ignore[method-assign]
    await office.users.enable(NORA, by=office.admin)

    assert (await office.users.standings.read(NORA)).disabled


async def test_an_object_id_that_another_authority_says_reaches_no_account_of_ours(office: Office) -> None:
    async with tenants() as host:
        first, partner = host.tenant("ours", "k"), host.tenant("partner", "p")
        validator = TokenValidator([first.url, partner.url], AUDIENCE)
        mallory = await validator.caller(partner.token("p", oid=OID, name="Mallory", roles=["admin"]), utc_now())
    before = dict(office.life.accounts.users)

    seen = await office.users.profiles.seen(mallory, NOW)
    await office.users.profiles.change(mallory.person_id, name="Renamed by Mallory", make=seen)
    await office.users.disable(mallory.person_id, by=office.admin)
    await office.users.erasing.begin(
        mallory.person_id, user_id=mallory.user_id, email=mallory.email, confirmed=True, now=NOW
    )
    await office.users.erasing.carry_out(mallory.person_id, now=NOW)

    assert (office.life.accounts.users, office.life.accounts.revoked) == (before, [])


async def test_an_admin_does_nothing_to_themself(office: Office) -> None:
    me = office.admin.person_id
    await office.users.profiles.seen(office.admin, NOW)
    before = office.life.rows()

    for asked in (
        office.users.disable(me, by=office.admin),
        office.users.enable(me, by=office.admin),
        office.users.set_roles(me, None, by=office.admin),
        office.users.erase(me, by=office.admin, confirmed=True, now=NOW),
    ):
        with pytest.raises(OwnAccount):
            await asked
    assert office.life.rows() == before


async def test_an_invitation_is_mailed_once_in_a_while_and_never_to_whoever_was_here(office: Office) -> None:
    async def create(now: datetime) -> int:
        await office.users.create(email="nora@mail.example", name="Nora", invite=True, now=now)
        return len(office.invitations())

    mails = [await create(NOW), await create(NOW), await create(NOW + MAILED_AGAIN_AFTER)]
    await office.users.profiles.seen(Caller(person_id=NORA, user_id=OID, name="N", email="nora@mail.example"), NOW)
    mails.append(await create(NOW + timedelta(days=1)))

    assert mails == [1, 1, 2, 2]


async def test_without_a_directory_accounts_are_not_administered_and_people_are(office: Office) -> None:
    users = replace(office.users, directory=None)
    await users.profiles.seen(sales.buyer("ada"), NOW)
    ada = sales.buyer("ada").person_id

    with pytest.raises(NoDirectory):
        await users.find("", limit=10, continuation=None, now=NOW)
    with pytest.raises(NoDirectory):
        await users.create(email="a@mail.example", name="A", invite=False, now=NOW)
    given = await users.set_roles(ada, frozenset({Role.CREATOR}), by=office.admin)
    await users.disable(ada, by=office.admin)

    assert (given.standing.roles, given.account) == (frozenset({Role.CREATOR}), None)
    assert (await users.get(ada)).standing.disabled
