"""Dead letters over HTTP, for those who run the platform."""

import hashlib
from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, Field, model_validator

from functions.operations.dead_letters import CopyRefused, DeadLetterOffice, Done, Instruction
from functions.operations.letters import REPLAYS_PER_SECOND, REPLAYS_PER_SECOND_MAX, Choice, ChosenLetter, body_of
from shared.auth.permissions import Permission
from shared.bus.port import DEAD_LETTERS_MAX, DeadLetter
from shared.kernel.clock import Moment
from shared.kernel.errors import KeyReused, NotFound
from shared.kernel.ids import derived_id, random_id
from shared.web.endpoint import Call, Endpoints, Nothing, Wire
from shared.web.fields import Name

NUMBER_MAX: Final = 2**63 - 1  # Service Bus' sequence numbers have 64 bits, as SQLite's


class QueueView(BaseModel):
    """A queue, and how many messages nobody could handle."""

    queue: str
    dead_letters: int


class QueuesView(BaseModel):
    """Every queue."""

    items: list[QueueView]


class DeadLetterQuery(Wire):
    """Which dead letters."""

    reason: Name | None = Field(default=None, description="exactly this one, e.g. `MaxDeliveryCountExceeded`")
    type: Name | None = Field(default=None, description="the message's type, e.g. `OrderPaid`")
    limit: int = Field(default=50, ge=1, le=DEAD_LETTERS_MAX)
    after: int = Field(default=0, ge=0, le=NUMBER_MAX, description="`next_after` of the page before")


class DeadLetterView(BaseModel):
    """A message nobody could handle; messages carry ids, never personal data."""

    sequence_number: int = Field(description="its address in its queue")
    message_id: str
    type: str
    reason: str
    description: str
    delivery_count: int
    dead_lettered_at: Moment
    age_seconds: int
    correlation_id: str = Field(description="leads to the log lines of whatever began it")

    @classmethod
    def of(cls, letter: DeadLetter, now: datetime) -> Self:
        """As an operator sees it."""
        return cls(
            sequence_number=letter.sequence_number,
            message_id=letter.message.id,
            type=letter.message.type,
            reason=letter.reason,
            description=letter.description,
            delivery_count=letter.delivery_count,
            dead_lettered_at=letter.dead_lettered_at,
            age_seconds=max(0, int((now - letter.dead_lettered_at).total_seconds())),
            correlation_id=letter.message.correlation_id,
        )


class DeadLetterPageView(BaseModel):
    """A page of dead letters, lowest number first."""

    items: list[DeadLetterView]
    next_after: int | None = None


class DeadLetterDetails(BaseModel):
    """A dead letter whole."""

    letter: DeadLetterView
    properties: dict[str, str | int]
    body: str


class Chosen(Wire):
    """Which dead letters: by number, or by reason and type, or all; and why."""

    sequence_numbers: list[int] = Field(default_factory=list, max_length=DEAD_LETTERS_MAX)
    reason: Name | None = None
    type: Name | None = None
    all: bool = Field(default=False, description="every dead letter of the queue")
    dry_run: bool = Field(default=False, description="change nothing, only say what would be done")
    why: Name | None = Field(default=None, description="for the audit trail; only a dry run needs none")

    @model_validator(mode="after")
    def _says_which_and_why(self) -> Self:
        if any(not 1 <= number <= NUMBER_MAX for number in self.sequence_numbers):
            raise ValueError(f"sequence_numbers: each is from 1 to {NUMBER_MAX}")
        ways = [bool(self.sequence_numbers), bool(self.reason or self.type), self.all]
        if ways.count(True) != 1:
            raise ValueError("choose by sequence_numbers, or by reason and type, or all: one of the three")
        if not self.dry_run and self.why is None:
            raise ValueError("why: say it, for the audit trail")
        return self

    def choice(self) -> Choice:
        """As the use case has it."""
        return Choice(tuple(self.sequence_numbers), self.reason, self.type)


class ChosenForReplay(Chosen):
    """Which dead letters to replay, and how fast."""

    per_second: int = Field(default=REPLAYS_PER_SECOND, ge=1, le=REPLAYS_PER_SECOND_MAX)


class DoneView(BaseModel):
    """What became of the chosen letters."""

    dry_run: bool
    audit_id: str
    letters: list[ChosenLetter]
    done: list[int] = Field(description="numbers of those this request replayed or discarded")
    gone: list[int] = Field(description="numbers that were no longer dead: an earlier try had them, or somebody else")
    more: bool = Field(description="the choice fits more letters than one call takes: ask again, with a new key")

    @classmethod
    def of(cls, done: Done, *, dry_run: bool) -> Self:
        """As an operator sees it."""
        return cls(
            dry_run=dry_run, audit_id=done.audit_id, letters=list(done.letters), done=list(done.done),
            gone=list(done.gone), more=done.more,
        )  # fmt: skip


def dead_letter_endpoints(http: Endpoints, office: DeadLetterOffice) -> None:
    """Declare the endpoints."""
    _look(http, office)
    _deal(http, office)


def _look(http: Endpoints, office: DeadLetterOffice) -> None:
    @http("GET", "operations/dead-letters", needs=Permission.OPERATE, returns=QueuesView)
    async def count_dead_letters(call: Call, nothing: Nothing) -> QueuesView:
        """List the queues with their numbers of dead letters."""
        counts = await office.counts()
        return QueuesView(items=[QueueView(queue=name, dead_letters=counts[name]) for name in counts])

    @http(
        "GET", "operations/dead-letters/{queue}", needs=Permission.OPERATE, takes=DeadLetterQuery,
        returns=DeadLetterPageView, refuses=[NotFound],
    )  # fmt: skip
    async def list_dead_letters(call: Call, query: DeadLetterQuery) -> DeadLetterPageView:
        """List the dead letters of a queue, lowest number first; send `next_after` back as `after` to go on."""
        choice = Choice(reason=query.reason, type_name=query.type)
        page = await office.page(_queue(call), choice, limit=query.limit, after=query.after)
        items = [DeadLetterView.of(letter, call.now) for letter in page.letters]
        return DeadLetterPageView(items=items, next_after=page.next_after)

    @http(
        "GET", "operations/dead-letters/{queue}/{sequence_number}", needs=Permission.OPERATE,
        returns=DeadLetterDetails, refuses=[NotFound],
    )  # fmt: skip
    async def show_dead_letter(call: Call, nothing: Nothing) -> DeadLetterDetails:
        """Show a dead letter with its body, and leave it where it is."""
        letter = await office.letter(_queue(call), _number(call))
        view = DeadLetterView.of(letter, call.now)
        return DeadLetterDetails(letter=view, properties=dict(letter.message.properties), body=body_of(letter))


def _deal(http: Endpoints, office: DeadLetterOffice) -> None:
    @http(
        "POST", "operations/dead-letters/{queue}/replay", needs=Permission.OPERATE, takes=ChosenForReplay,
        returns=DoneView, refuses=[NotFound, KeyReused, CopyRefused], headers=["Idempotency-Key"],
    )  # fmt: skip
    async def replay_dead_letters(call: Call, body: ChosenForReplay) -> DoneView:
        """Replay dead letters: fresh copies go to the same queue, `per_second` a second.

        At most 100 a call. With an Idempotency-Key an interrupted call can be sent again and does nothing twice. Each
        call is written into the audit trail before and after.
        """
        done = await office.replay(
            _queue(call), body.choice(), _instruction(call, body), per_second=body.per_second, dry_run=body.dry_run
        )
        return DoneView.of(done, dry_run=body.dry_run)

    @http(
        "POST", "operations/dead-letters/{queue}/discard", needs=Permission.OPERATE, takes=Chosen, returns=DoneView,
        refuses=[NotFound, KeyReused], headers=["Idempotency-Key"],
    )  # fmt: skip
    async def discard_dead_letters(call: Call, body: Chosen) -> DoneView:
        """Discard dead letters: they are never handled.

        At most 100 a call, or 1 MiB. The audit trail keeps them whole, with who discarded them and why.
        """
        done = await office.discard(_queue(call), body.choice(), _instruction(call, body), dry_run=body.dry_run)
        return DoneView.of(done, dry_run=body.dry_run)


def _queue(call: Call) -> str:
    return str(call.raw.route_params.get("queue", ""))


def _number(call: Call) -> int:
    text = str(call.raw.route_params.get("sequence_number", ""))
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= 19 and 1 <= int(text) <= NUMBER_MAX):
        raise NotFound(f"There is no dead letter “{text[:60]}”; it has a number.")
    return int(text)


def _instruction(call: Call, body: Chosen) -> Instruction:
    """With an Idempotency-Key, its audit id always follows from it; else it is a random one."""
    keyed = bool(call.raw.headers.get("idempotency-key"))
    asked = f"{call.raw.route_params.get('queue', '')}\n{type(body).__name__}\n{body.model_dump_json()}"
    return Instruction(
        audit_id=derived_id("aud", call.caller.actor, call.idempotency_key) if keyed else random_id("aud"),
        who=call.caller.actor,
        why=body.why or "",
        correlation_id=call.correlation_id,
        request=hashlib.sha256(asked.encode()).hexdigest(),
        now=call.now,
    )
