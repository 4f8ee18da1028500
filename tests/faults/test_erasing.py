"""Forgetting a person, and giving out what is held of them: compared with what SQLite itself finds on disk."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from functions.admission.tickets import CheckIn
from functions.composition import UseCases
from functions.identity.erasing import ERASURES, SETTLED, ErasureWaits, TicketsAtStake
from functions.identity.people import GONE_AFTER_SECONDS
from functions.identity.teams import LastOwner
from functions.sales.orders import Method
from shared.auth.permissions import Membership
from shared.bus.port import Message
from shared.events.identity import ErasePerson
from shared.kernel.errors import Contended
from shared.store.chaos import ChaosStore, Misbehaviour
from shared.store.port import Create, Store, StoreError
from shared.telemetry import counters
from tests.factories import catalog, sales
from tests.faults.lifetime import NEEDLES, NEW_NAME, SHOW, USER_ID, Life, live, paula, place
from tests.property.world import Died, Mortal

PERSON = paula().person_id
LATER = catalog.NOW + timedelta(hours=2)
COMMITS_MAX = 100
ROUNDS_MAX = 40


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which she has lived; copied by each test."""
    folder = tmp_path_factory.mktemp("lived")
    life = Life(folder)
    asyncio.run(live(life))
    life.stack.close()
    return folder


@pytest.fixture
async def life(lived: Path, tmp_path: Path) -> AsyncIterator[Life]:
    copied = copy_of(lived, tmp_path / "copy")
    yield copied
    copied.stack.close()


def copy_of(lived: Path, folder: Path) -> Life:
    shutil.copytree(lived, folder)
    life = Life(folder)
    life.clock.now = LATER
    life.accounts.add(USER_ID, paula().email, paula().name)
    return life


def counted(name: str) -> int:
    return counters().get(name, 0)


async def begin(cases: UseCases, *, confirmed: bool = True) -> None:
    who = paula()
    await cases.accounts.erasing.begin(PERSON, user_id=who.user_id, email=who.email, confirmed=confirmed, now=LATER)


async def carry_out(life: Life, cases: UseCases) -> None:
    """The consumer takes each command as often as there is one, when it is due."""
    await life.relay(cases)
    for message in life.bag.take(ERASURES):
        life.clock.now = max(life.clock.now, message.due_at or life.clock.now)
        command = ErasePerson.model_validate_json(message.body)
        await cases.accounts.erasing.carry_out(command.person_id, now=life.clock.now)


async def forget_all(life: Life) -> None:
    """Until nobody knows anything: both sweeps, and the time in which a token could still be good."""
    waiting: list[Message] = []
    for _ in range(ROUNDS_MAX):
        await life.relay(life.cases())
        waiting += life.bag.take(ERASURES)
        waiting.sort(key=lambda message: message.due_at or LATER)
        if not waiting:
            break
        message = waiting.pop(0)
        life.clock.now = max(life.clock.now, message.due_at or LATER)
        command = ErasePerson.model_validate_json(message.body)
        try:
            await life.cases().accounts.erasing.carry_out(command.person_id, now=life.clock.now)
        except ErasureWaits:
            waiting.append(replace(message, due_at=life.clock.now + timedelta(minutes=1)))
        await life.fill_wallets(life.cases())
    assert not waiting
    life.clock.now += timedelta(seconds=GONE_AFTER_SECONDS + 1)
    await life.purge()


async def test_the_export_has_every_document_that_mentions_the_person(life: Life) -> None:
    held, complete = await life.cases().accounts.exporting.export(PERSON)
    rows, mentioned = life.rows(), life.mentions(*NEEDLES)
    # In the wallets of those she let in are copies of their tickets, which are given out themselves.
    copies = {where for where in mentioned if where.startswith("wallets/") and PERSON not in where.split("/")[1]}

    assert complete
    assert {each.where for each in held} == mentioned - copies
    assert len(held) == len(mentioned - copies) >= 20  # she left that many traces, or this would say little
    assert {orjson.loads(rows[where])["number"] for where in copies} <= {each.data.get("number") for each in held}
    whole = [each for each in held if each.where.startswith(("people/", "wallets/", "organisers/"))]
    assert all(orjson.loads(rows[each.where]) == each.data for each in whole)
    told = orjson.dumps([dict(each.data) for each in held]).decode()
    assert all(needle in told for needle in (PERSON, paula().name, NEW_NAME, USER_ID, paula().email))
    assert "Bob Walk-In" not in told  # whom she sold to is not about her
    assert sales.buyer().email not in told
    assert sales.buyer().name not in [each.data.get("holder") for each in held]


async def test_after_erasing_nothing_on_disk_mentions_the_person_and_the_ledger_is_the_same(life: Life) -> None:
    books, others = life.books(), life.mentions("Bob Walk-In", sales.buyer().person_id)
    assert life.mentions(*NEEDLES)

    await begin(life.cases())
    await forget_all(life)

    assert life.mentions(*NEEDLES) == set()
    assert life.books() == books
    assert life.mentions("Bob Walk-In", sales.buyer().person_id) == others  # what is others' stays theirs
    assert life.accounts.users == {}
    assert life.accounts.revoked == [USER_ID]


async def test_erasing_again_changes_nothing(life: Life) -> None:
    await begin(life.cases())
    await begin(life.cases())
    await carry_out(life, life.cases())
    await carry_out(life, life.cases())
    before = life.rows()
    cases = life.cases()

    await cases.accounts.erasing.carry_out(PERSON, now=life.clock.now)
    await cases.accounts.erasing.carry_out(catalog.person("nobody"), now=life.clock.now)

    assert life.rows() == before


async def test_whoever_has_begun_to_be_erased_is_disabled_at_once(life: Life) -> None:
    cases = life.cases()

    await begin(cases)

    assert (await cases.standings.read(PERSON)).disabled
    assert (await cases.standings.read(PERSON)).memberships == {}


async def test_a_crash_at_any_commit_is_made_good_by_the_next_delivery(lived: Path, tmp_path: Path) -> None:
    crashes = 0
    for dies_at in range(COMMITS_MAX):
        life = copy_of(lived, tmp_path / f"{dies_at}")
        books = life.books()
        await begin(life.cases())
        mortal = Mortal(ChaosStore(life.store, seed=0), dies_at, after=False)
        try:
            await life.cases(mortal).accounts.erasing.carry_out(PERSON, now=LATER)
            lived_through = True
        except Died:
            lived_through, crashes = False, crashes + 1
        await forget_all(life)
        assert life.mentions(*NEEDLES) == set(), f"died at commit {dies_at}"
        assert life.books() == books
        life.stack.close()
        if lived_through:
            break
    assert 10 < crashes < COMMITS_MAX


async def test_a_crash_while_it_is_begun_leaves_an_erasure_that_goes_on_or_one_to_ask_for_again(
    lived: Path, tmp_path: Path
) -> None:
    crashes = 0
    for dies_at in range(COMMITS_MAX):
        life = copy_of(lived, tmp_path / f"{dies_at}")
        mortal: Store = Mortal(ChaosStore(life.store, seed=0), dies_at, after=False)
        try:
            await begin(life.cases(mortal))
            lived_through = True
        except Died:
            lived_through, crashes = False, crashes + 1
        if not any(where.endswith("/erasure") for where in life.rows()):
            assert not (await life.cases().standings.read(PERSON)).disabled  # she can ask again
            await begin(life.cases())
        await forget_all(life)
        assert life.mentions(*NEEDLES) == set(), f"died at commit {dies_at}"
        life.stack.close()
        if lived_through:
            break
    assert 3 < crashes < COMMITS_MAX


async def test_orders_whose_money_may_still_move_are_waited_for_and_the_rest_is_gone_meanwhile(life: Life) -> None:
    cases = life.cases()
    event = (await cases.browsing.show(catalog.event(name=SHOW).event_id, caller=catalog.owner())).event
    waiting = await place(cases, event, "open")
    paid_id = sales.order_id("paid", paula())
    await cases.settlement.refund(paid_id, caller=catalog.owner(), now=LATER)
    await begin(cases)

    await carry_out(life, cases)
    await life.relay(cases)
    await life.fill_wallets(cases)
    left = life.mentions(*NEEDLES)
    known = {where for where in left if waiting.order_id in where or paid_id in where}
    assert {f"orders/{waiting.order_id}/order", f"orders/{paid_id}/order"} <= known
    assert left - known == {f"people/{PERSON}/erasure", f"people/{PERSON}/standing"}
    await cases.settlement.expire(waiting.order_id, now=LATER + timedelta(hours=1))
    life.provider.paid[f"pi_{paid_id}"] = waiting.total.times(2)
    await cases.refunding.run(paid_id, now=LATER)
    await cases.accounts.erasing.carry_out(PERSON, now=life.clock.now)
    await forget_all(life)
    assert life.mentions(*NEEDLES) == set()
    states = {order["order_id"]: order["state"] for order in life.books()}
    assert (states[waiting.order_id], states[paid_id]) == ("expired", "refunded")


async def test_deliveries_at_the_same_time_do_it_once(life: Life) -> None:
    await begin(life.cases())
    cases = [life.cases() for _ in range(4)]

    done = await asyncio.gather(
        *(each.accounts.erasing.carry_out(PERSON, now=LATER) for each in cases), return_exceptions=True
    )

    assert {type(each) for each in done} <= {type(None), ErasureWaits}
    assert None in done
    await forget_all(life)
    assert life.mentions(*NEEDLES) == set()


async def test_a_store_that_throttles_and_loses_answers_only_delays_it(life: Life) -> None:
    books = life.books()
    await begin(life.cases())
    trouble = Misbehaviour(throttled=0.05, locked=0.05, lost_answer=0.1, lost_request=0.05)
    chaos, done = ChaosStore(life.store, misbehaviour=trouble, seed=7), False
    for _ in range(ROUNDS_MAX):
        with suppress(StoreError, Contended, ErasureWaits):  # the queue brings it again
            await life.cases(chaos).accounts.erasing.carry_out(PERSON, now=LATER)
        # It may be done though it raised: then only the answer was lost.
        if done := orjson.loads(life.rows()[f"people/{PERSON}/erasure"])["phase"] != "begun":
            break

    assert done
    await forget_all(life)
    assert life.mentions(*NEEDLES) == set()
    assert life.books() == books


async def test_a_batch_of_the_feed_brings_nobody_back_however_late_it_is(life: Life) -> None:
    stale = await life.fill_wallets(life.cases())
    assert any(ticket.owner_id == PERSON for ticket in stale)
    await begin(life.cases())
    await carry_out(life, life.cases())
    await life.cases().door.fill_wallets(stale)  # the change feed was in the middle of an older batch
    assert not {where for where in life.rows() if where.startswith(f"wallets/{PERSON}/")}

    await forget_all(life)
    await life.cases().door.fill_wallets(stale)

    assert life.mentions(*NEEDLES) == set()


async def test_a_copy_of_a_ticket_that_was_written_late_is_swept_later(life: Life) -> None:
    copies = (await life.store.query("wallets", PERSON)).documents
    await begin(life.cases())
    await carry_out(life, life.cases())
    # The ticket was asked before she was forgotten, and its copy written after.
    await life.store.commit("wallets", PERSON, [Create(each.id, each.value) for each in copies])
    assert life.mentions(PERSON) & {where for where in life.rows() if where.startswith("wallets/")}

    await forget_all(life)

    assert life.mentions(*NEEDLES) == set()


async def test_the_second_sweep_waits_until_what_was_on_its_way_has_come(life: Life) -> None:
    cases = life.cases()
    await begin(cases)
    await carry_out(life, cases)

    with pytest.raises(ErasureWaits):
        await cases.accounts.erasing.carry_out(PERSON, now=LATER + SETTLED - timedelta(seconds=1))
    await cases.accounts.erasing.carry_out(PERSON, now=LATER + SETTLED)

    assert orjson.loads(life.rows()[f"people/{PERSON}/erasure"])["phase"] == "over"
    await life.relay(cases)
    await life.fill_wallets(cases)
    assert life.mentions(PERSON) == {f"people/{PERSON}/erasure", f"people/{PERSON}/standing"}
    assert life.mentions(*NEEDLES[1:]) == set()  # until those two lapse they tell no name, no address, no account


async def test_tickets_for_what_is_still_to_come_are_given_up_knowingly(life: Life) -> None:
    before = life.rows()

    with pytest.raises(TicketsAtStake) as refused:
        await begin(life.cases(), confirmed=False)

    assert refused.value.facts["tickets"] == ["1 × “Open day” on 2036-01-13", "2 × “Summer concert” on 2036-01-13"]
    assert life.rows() == before


async def test_the_only_owner_of_an_organiser_hands_it_over_first(life: Life) -> None:
    cases, own = life.cases(), catalog.organiser_id("paulas")
    await cases.belonging.remove(own, catalog.owner().person_id, by=PERSON, now=LATER)
    before = life.rows()

    with pytest.raises(LastOwner) as refused:
        await begin(cases)

    assert refused.value.facts["organisers"] == [own]
    assert life.rows() == before
    boss = catalog.owner().person_id
    await cases.belonging.set_role(own, boss, Membership.OWNER, by=PERSON, now=LATER, trusted=True)
    await begin(cases)
    await forget_all(life)
    assert life.mentions(*NEEDLES) == set()


async def test_a_directory_that_is_away_is_waited_for(life: Life) -> None:
    life.accounts.away = True
    await begin(life.cases())

    await carry_out(life, life.cases())
    await life.relay(life.cases())
    await life.fill_wallets(life.cases())
    told = {f"people/{PERSON}/erasure", f"people/{PERSON}/standing"}
    assert (set(life.accounts.users), life.mentions(*NEEDLES)) == ({USER_ID}, told)  # all the rest is gone
    life.accounts.away = False
    await forget_all(life)

    assert life.accounts.users == {}
    assert life.mentions(*NEEDLES) == set()


async def test_an_account_that_the_directory_refuses_to_delete_is_told_of_and_all_the_rest_goes(life: Life) -> None:
    life.accounts.refuses = True
    kept = counted("erasures_account_kept")
    await begin(life.cases())
    await carry_out(life, life.cases())
    await carry_out(life, life.cases())

    erasure = orjson.loads(life.rows()[f"people/{PERSON}/erasure"])
    assert (erasure["phase"], erasure["account_kept"], erasure["user_id"]) == ("over", True, USER_ID)
    assert counted("erasures_account_kept") - kept == 1
    await life.fill_wallets(life.cases())
    await forget_all(life)
    assert life.mentions(*NEEDLES) == set()
    assert set(life.accounts.users) == {USER_ID}


async def test_what_is_waited_for_is_tried_later_each_time_and_told_of_after_a_day(life: Life) -> None:
    life.accounts.away = True
    await begin(life.cases())
    overdue, tries = counted("erasures_overdue"), 0
    pauses: list[timedelta] = []
    while life.clock.now - LATER <= timedelta(days=1, hours=2) and tries < 100:
        before = life.clock.now
        await carry_out(life, life.cases())
        tries, pauses = tries + 1, [*pauses, life.clock.now - before]

    assert tries < 50
    assert pauses[:4] == [timedelta(0), *(timedelta(seconds=2**n) for n in (1, 2, 3))]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=1)
    assert 1 <= counted("erasures_overdue") - overdue <= 3
    life.accounts.away = False
    await forget_all(life)
    assert life.mentions(*NEEDLES) == set()


async def test_an_account_that_is_deleted_and_still_kept_is_deleted_for_good_later(life: Life) -> None:
    await begin(life.cases())
    life.accounts.keeps = True
    await carry_out(life, life.cases())
    assert (life.accounts.users, life.accounts.kept) == ({}, {USER_ID})

    life.accounts.keeps = False
    await life.cases().accounts.erasing.carry_out(PERSON, now=LATER)

    assert life.accounts.kept == set()


async def test_a_forgotten_order_is_nobodys_and_its_ticket_still_opens_the_door(life: Life) -> None:
    paid_id = sales.order_id("paid", paula())
    [first, _] = await life.cases().door.tickets(paid_id, caller=paula())
    code = life.cases().door.code(first)
    await begin(life.cases())
    await forget_all(life)
    cases, boss = life.cases(), catalog.owner(catalog.organiser_id())

    order = await cases.orders.show(paid_id, caller=boss)
    scan = CheckIn(at=LATER, by=boss.person_id, by_name=boss.name, nonce="87654321")
    ticket = await cases.door.check_in(code, scan, at_event=None, caller=boss)

    assert (order.buyer.name, order.buyer.email, order.placed_by, order.state) == ("", "", "", "paid")
    assert (order.body_hash, order.trace_parent) == ("", "")
    assert (ticket.holder, ticket.owner_id, ticket.state) == ("", "", "used")
    desk = await cases.orders.show(sales.order_id("desk", paula()), caller=boss)
    assert (desk.buyer.name, desk.method) == ("Bob Walk-In", Method.DESK)
