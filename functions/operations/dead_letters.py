"""Dead letters: looked at, replayed, discarded; every replay and discard leaves its trace in the audit trail.

Store and bus are two systems: the intent is written down first, with the very letters, then the bus acts, then the
outcome is written down. Dying in between leaves an intent without an outcome; the same request again finishes it.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final, TypedDict

from functions.operations.letters import Choice, ChosenLetter, Plan, behind, replays_of, to_discard, to_replay
from functions.operations.watch import counted
from shared.audit import PLATFORM, AuditEntry, AuditTrail, Step
from shared.bus.port import DEAD_LETTERS_MAX, BusUnavailable, DeadLetter, DeadLetterPage, DeadLetters, MessageRefused
from shared.kernel.errors import DependencyUnavailable, DomainError, Kind, NotFound
from shared.telemetry import Log, count
from shared.topology import topology

type Act = Callable[[Sequence[ChosenLetter]], Awaitable[Sequence[int]]]

REPLAY: Final = "dead-letters.replay"
DISCARD: Final = "dead-letters.discard"
_log = Log("operations")


class BusAway(DependencyUnavailable):
    """The bus does not answer; the same request, with the same Idempotency-Key, does nothing twice."""


class CopyRefused(DomainError):
    """A copy can never be accepted by the bus; nothing was replayed."""

    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Instruction:
    """Who asks for a replay or a discard, and why.

    :param audit_id: follows from the Idempotency-Key, where there is one
    :param request: a hash of what is asked
    """

    audit_id: str
    who: str
    why: str
    correlation_id: str
    request: str
    now: datetime


class Outcome(TypedDict):
    """What the audit trail keeps of what came of it; `refused` says why the bus took none."""

    done: list[int]
    gone: list[int]
    refused: str


@dataclass(frozen=True, slots=True)
class Done:
    """What became of the letters.

    :param letters: those that were chosen
    :param done: numbers of those replayed or discarded by this call
    :param gone: numbers of those that were no longer dead: an earlier try of this request had them, or somebody else
    :param more: whether the choice fits more letters than one call takes
    """

    audit_id: str
    letters: Sequence[ChosenLetter]
    done: Sequence[int]
    gone: Sequence[int]
    more: bool


class DeadLetterOffice:
    """Where dead letters are dealt with."""

    def __init__(self, bus: DeadLetters, trail: AuditTrail) -> None:
        self._bus = bus
        self._trail = trail

    async def counts(self) -> Mapping[str, int]:
        """How many dead letters each queue has.

        :raises BusAway: the bus does not answer
        """
        with _bus_errors():
            counts = await self._bus.dead_counts()
        counted(counts)
        return counts

    async def page(self, queue: str, choice: Choice, *, limit: int, after: int) -> DeadLetterPage:
        """A page of a queue's dead letters.

        :raises NotFound: no such queue
        :raises BusAway: the bus does not answer
        """
        _refuse_unknown(queue)
        with _bus_errors():
            return await self._bus.peek_dead_letters(
                queue, limit=limit, after=after, reason=choice.reason, type_name=choice.type_name
            )

    async def letter(self, queue: str, sequence_number: int) -> DeadLetter:
        """One dead letter.

        :raises NotFound: no such queue or letter
        :raises BusAway: the bus does not answer
        """
        there = await self._there(queue, [sequence_number])
        if sequence_number not in there:
            raise NotFound(f"The queue {queue} has no dead letter {sequence_number}.")
        return there[sequence_number]

    async def replay(
        self, queue: str, choice: Choice, instruction: Instruction, *, per_second: int, dry_run: bool
    ) -> Done:
        """Send the chosen letters to their queue again, `per_second` a second; with `dry_run` only say which.

        :raises NotFound: no such queue
        :raises KeyReused: the Idempotency-Key was used for something else
        :raises CopyRefused: the bus can never take one of the copies
        :raises BusAway: the bus does not answer; ask again with the same Idempotency-Key
        """
        there, more = await self._choose(queue, choice)
        chosen = to_replay(there.values(), audit_id=instruction.audit_id, per_second=per_second, now=instruction.now)
        plan = Plan(chosen, _missing(choice, there), more)
        if dry_run:
            return _planned(plan)

        async def act(intended: Sequence[ChosenLetter]) -> Sequence[int]:
            now_there = await self._there(queue, [each.sequence_number for each in intended])
            with _bus_errors():
                return await self._bus.replay(queue, replays_of(intended, now_there, audit_id=instruction.audit_id))

        return await self._recorded(REPLAY, queue, choice, plan, instruction, act)

    async def discard(self, queue: str, choice: Choice, instruction: Instruction, *, dry_run: bool) -> Done:
        """Remove the chosen letters for good; the audit trail keeps them. With `dry_run` only say which.

        :raises NotFound: no such queue
        :raises KeyReused: the Idempotency-Key was used for something else
        :raises BusAway: the bus does not answer; ask again with the same Idempotency-Key
        """
        there, more = await self._choose(queue, choice)
        chosen = to_discard(list(there.values()))
        plan = Plan(chosen, _missing(choice, there), more or len(chosen) < len(there))
        if dry_run:
            return _planned(plan)

        async def act(intended: Sequence[ChosenLetter]) -> Sequence[int]:
            with _bus_errors():
                return await self._bus.discard(queue, [each.sequence_number for each in intended])

        return await self._recorded(DISCARD, queue, choice, plan, instruction, act)

    async def _recorded(
        self, what: str, queue: str, choice: Choice, plan: Plan, instruction: Instruction, act: Act
    ) -> Done:
        """Intent, act, outcome; what an earlier try of the same request has done of it is not done again."""
        letters = [each.written() for each in plan.letters]
        details = {"choice": asdict(choice), "letters": letters, "missing": list(plan.missing), "more": plan.more}
        intent = await self._trail.intend(
            AuditEntry(
                audit_id=instruction.audit_id, step=Step.INTENT, scope=PLATFORM, at=instruction.now,
                who=instruction.who, what=what, target=queue, why=instruction.why,
                correlation_id=instruction.correlation_id, request=instruction.request, details=details,
            )
        )  # fmt: skip
        intended = _plan_of(intent)
        outcome = await self._trail.outcome_of(intent)
        if outcome is None:
            found = await self._acted(intended, act, delay=instruction.now - intent.at)
            outcome = await self._trail.conclude(intent, found, now=instruction.now)
            count("dead_letters_replayed" if what == REPLAY else "dead_letters_discarded", len(found["done"]))
            _log.warning("dead_letters_dealt_with", what=what, queue=queue, audit_id=intent.audit_id, **found)
        if outcome.details["refused"]:
            raise CopyRefused(f"The bus does not take a copy: {outcome.details['refused']}")
        done = outcome.details["done"]
        letters_now = behind(intended.letters, outcome.at - intent.at, numbers=done)
        return Done(intent.audit_id, letters_now, done, outcome.details["gone"], intended.more)

    async def _acted(self, intended: Plan, act: Act, *, delay: timedelta) -> Outcome:
        """What came of it; `delay` after it was intended."""
        try:
            done = sorted(await act(behind(intended.letters, delay))) if intended.letters else []
        except MessageRefused as refusal:
            return {"done": [], "gone": [], "refused": str(refusal)}
        gone = {each.sequence_number for each in intended.letters} - set(done)
        return {"done": done, "gone": sorted(gone | set(intended.missing)), "refused": ""}

    async def _choose(self, queue: str, choice: Choice) -> tuple[Mapping[int, DeadLetter], bool]:
        """The letters a choice fits, by number, as many as one call takes, and whether there are more."""
        if choice.sequence_numbers:
            return await self._there(queue, sorted(set(choice.sequence_numbers))), False
        page = await self.page(queue, choice, limit=DEAD_LETTERS_MAX, after=0)
        return {letter.sequence_number: letter for letter in page.letters}, page.next_after is not None

    async def _there(self, queue: str, sequence_numbers: Sequence[int]) -> Mapping[int, DeadLetter]:
        """Those of these letters that are there."""
        _refuse_unknown(queue)
        found: dict[int, DeadLetter] = {}
        with _bus_errors():
            for number in sequence_numbers:
                page = await self._bus.peek_dead_letters(queue, limit=1, after=number - 1)
                found |= {each.sequence_number: each for each in page.letters if each.sequence_number == number}
        return found


def _planned(plan: Plan) -> Done:
    return Done("", plan.letters, [], plan.missing, plan.more)


def _plan_of(intent: AuditEntry) -> Plan:
    letters = [ChosenLetter.model_validate(each) for each in intent.details["letters"]]
    return Plan(letters, intent.details["missing"], intent.details["more"])


def _missing(choice: Choice, there: Mapping[int, DeadLetter]) -> list[int]:
    """Those that were asked for by number and are no dead letters, whether or not all others fit into one call."""
    return sorted(set(choice.sequence_numbers) - set(there))


def _refuse_unknown(queue: str) -> None:
    known = [each.name for each in topology().queues]
    if queue not in known:
        raise NotFound(f"There is no queue “{queue[:60]}”.", allowed=known)


@contextmanager
def _bus_errors() -> Iterator[None]:
    try:
        yield
    except BusUnavailable as error:
        raise BusAway("The bus does not answer; send the same request again.") from error
