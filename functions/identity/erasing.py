"""Forgetting people: begun in one commit, carried out from a queue, whoever dies in between.

First they leave their organisers, which an only owner cannot; then it is written down, and nothing takes that back.
From then on they are let in no more. The `erasures` consumer asks each context to lose them and then deletes their
account, again and again, later each time, until nothing is left: an order whose money may still move is waited for, and
a directory that is away. Ten minutes after that it does so once more, for what was on its way while we looked: a
request let in by a process that had not heard, a copy of a ticket made from an older version. Two days later nothing
says that they were here: until then a token of theirs may be good.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from functions.identity.belonging import AGAIN, Belonging
from functions.identity.people import BeingErased, Erasure, Phase
from functions.identity.people_repository import PeopleRepository
from functions.identity.personal import addresses_of
from functions.identity.standings import Standings
from functions.identity.team_repository import Stored
from shared.directory.port import Directory, DirectoryRefused, DirectoryUnavailable, UserUnknown
from shared.events.envelope import outbox
from shared.events.identity import ErasePerson
from shared.kernel.errors import DependencyUnavailable, DomainError, Kind
from shared.kernel.ids import OrganiserId, PersonId, random_id
from shared.personal_data import AtStake, PersonalData
from shared.retry import retry
from shared.store.port import NotFound, StaleWrite
from shared.telemetry import Log, count

ERASURES: Final = "erasures"
SETTLED: Final = timedelta(minutes=10)  # what was on its way has arrived: requests, change feeds
_AGAIN: Final = (*AGAIN, NotFound)
_log = Log("identity")


class TicketsAtStake(DomainError):
    """The person has tickets for what is still to come; `tickets` lists them. With `confirm=true` they are given up."""

    kind = Kind.CONFLICT


class ErasureWaits(DependencyUnavailable):
    """This is not the delivery that goes on with it: another one was faster, or it came too early."""


class Erasing:
    """Forgets people.

    :param parts: what holds personal data, each context's
    :param directory: where their accounts are; None where accounts are not administered from here
    """

    def __init__(
        self,
        people: PeopleRepository,
        standings: Standings,
        belonging: Belonging,
        parts: Sequence[PersonalData],
        at_stake: AtStake,
        directory: Directory | None,
    ) -> None:
        self._people = people
        self._standings = standings
        self._belonging = belonging
        self._parts = parts
        self._at_stake = at_stake
        self._directory = directory

    async def begin(self, person_id: PersonId, *, user_id: str, email: str, confirmed: bool, now: datetime) -> Erasure:
        """Write down that a person is to be forgotten, after which they can do nothing; again changes nothing.

        :param user_id: their account in the directory, if we know it
        :param confirmed: they know that they give up their tickets
        :raises TicketsAtStake: they have tickets, and did not confirm
        :raises LastOwner: `organisers` would have no owner; nothing was changed
        :raises Contended: too many changes at once
        """
        found = await self._people.erasure(person_id)
        if found is None:
            if not confirmed and (tickets := await self._at_stake(person_id, now)):
                raise TicketsAtStake(
                    "These tickets would be gone from your wallet; say confirm=true.", tickets=list(tickets)
                )
            await self._belonging.leave_all(person_id, now=now)
            found = await retry(lambda: self._written_down(person_id, user_id, email, now), on=_AGAIN)
            count("erasures_begun")
        await self._standings.lock_erased(person_id)
        return found.value

    async def carry_out(self, person_id: PersonId, *, now: datetime) -> None:
        """Lose the person, as far as that is possible now; again changes nothing.

        Every part is tried, whatever becomes of the others. If something has to be waited for, the command that tries
        again later is written down.

        :raises ErasureWaits: another delivery was faster, or this one came too early
        """
        read = await self._people.erasure(person_id)
        if read is None or read.value.phase is Phase.OVER:
            return
        _alarm(read.value, now)
        await self._standings.lock_erased(person_id)
        done = [await part.erase(person_id, now=now) for part in self._parts]
        done.append(await self._left_organisers(read.value, now))
        erasure, account_settled = await self._without_account(read.value)
        try:
            if all(done) and account_settled:
                await self._next_phase(Stored(erasure, read.etag), now)
            else:
                await self._try_later(Stored(erasure, read.etag), now)
        except (StaleWrite, NotFound) as other:
            raise ErasureWaits("Another delivery is at it.") from other

    async def refuse_if_erased(self, person_id: PersonId) -> None:
        """Nothing, for somebody who is to stay.

        :raises BeingErased: anybody else
        """
        if await self._people.erasure(person_id) is not None:
            raise BeingErased("This person is being erased; that cannot be taken back.")

    async def _written_down(self, person_id: PersonId, user_id: str, email: str, now: datetime) -> Stored[Erasure]:
        found = await self._people.erasure(person_id)
        if found is not None:
            return found
        profile = await self._people.profile(person_id)
        known = profile.value if profile else None
        addresses = {*addresses_of(email), *addresses_of(known.email if known else "")}
        erasure = Erasure(
            erasure_id=random_id("era"), person_id=person_id, user_id=user_id or (known.user_id if known else ""),
            addresses=tuple(sorted(addresses)), begun_at=now,
        )  # fmt: skip
        await self._people.save_erasure(Stored(erasure), beside=[outbox(_command(erasure, now), destination=ERASURES)])
        return Stored(erasure)

    async def _left_organisers(self, erasure: Erasure, now: datetime) -> bool:
        """Whether they belong to none any more; not, while they are the only owner, until an admin hands it over."""
        alone = await self._belonging.forget(erasure.person_id, now=now)
        if alone:
            _log.error("erased_person_is_only_owner", erasure_id=erasure.erasure_id, organisers=",".join(alone))
        return not alone

    async def _without_account(self, erasure: Erasure) -> tuple[Erasure, bool]:
        """Delete the account; what to write down of that, and whether it is settled.

        A refusal is an outcome: asking again would not change it, and the rest of the person is to go all the same.
        """
        user_id = erasure.user_id
        if not user_id or self._directory is None:
            return erasure, True
        try:
            with suppress(UserUnknown):  # deleted already, perhaps not for good yet
                await self._directory.revoke_sessions(user_id)
            await self._directory.delete(user_id)
        except DirectoryUnavailable as away:
            _log.warning("erasure_waits_for_directory", erasure_id=erasure.erasure_id, reason=repr(away))
            return erasure, False
        except DirectoryRefused as refused:
            if not erasure.account_kept:
                count("erasures_account_kept")
            _log.error("erasure_account_kept", error=refused, erasure_id=erasure.erasure_id, user_id=user_id)
            return erasure.model_copy(update={"account_kept": True}), True
        return erasure.model_copy(update={"account_kept": False}), True

    async def _try_later(self, read: Stored[Erasure], now: datetime) -> None:
        waiting = read.value.waiting()
        again = outbox(_command(waiting, now), destination=ERASURES, due_at=now + waiting.pause)
        await self._people.save_erasure(Stored(waiting, read.etag), beside=[again])

    async def _next_phase(self, read: Stored[Erasure], now: datetime) -> None:
        erasure = read.value
        if erasure.phase is Phase.BEGUN:
            swept, due_at = erasure.swept(now), now + SETTLED
            again = outbox(_command(swept, now), destination=ERASURES, due_at=due_at)
            await self._people.save_erasure(Stored(swept, read.etag), beside=[again])
            return
        assert erasure.swept_at is not None, "a swept erasure says when"
        if now < erasure.swept_at + SETTLED:
            raise ErasureWaits("What is on its way is waited for.")
        await self._people.let_standing_lapse(erasure.person_id)
        await self._people.save_erasure(Stored(erasure.over(), read.etag))
        count("erasures_done")
        _log.info("person_erased", erasure_id=erasure.erasure_id)


def _alarm(erasure: Erasure, now: datetime) -> None:
    if erasure.overdue(now):
        count("erasures_overdue")
        _log.error("erasure_overdue", erasure_id=erasure.erasure_id, phase=erasure.phase, waits=erasure.waits)


def _command(erasure: Erasure, now: datetime) -> ErasePerson:
    return ErasePerson(
        id=f"{erasure.erasure_id}.{erasure.phase}" + (f".{erasure.waits}" if erasure.waits else ""),
        occurred_at=now,
        organiser_id=OrganiserId(""),
        person_id=erasure.person_id,
    )
