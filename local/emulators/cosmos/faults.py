"""Failures on demand: what a network, a busy partition and weaker consistency do to a client once in a while."""

from collections import OrderedDict
from typing import Final, Literal

from pydantic import Field

from local.emulators.cosmos.containers import Container, Key
from local.emulators.cosmos.documents import Stored
from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.operations import Operation
from local.emulators.rules import Rule, Rules

Kind = Literal[
    "throttle", "retry_with", "unavailable", "gone", "timeout", "reset", "slow", "stale", "repeat", "garbled"
]
HISTORY_MAX: Final = 10_000  # documents whose version before the last is remembered

# https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb
_STATUS: Final = {"throttle": 429, "retry_with": 449, "unavailable": 503, "gone": 410, "timeout": 408}
_SUBSTATUS: Final = {"throttle": 3200, "gone": 1002}


class Fault(Rule):
    """One rule; the first that matches a request decides.

    `throttle` answers 429 with a pause to keep, `retry_with` 449 (another write on the document is under way),
    `unavailable` 503, `gone` 410 with substatus 1002 (the range has moved), `timeout` 408; `reset` cuts the connection.
    All come before anything happens or, if `performed`, after it: then the client cannot know. With `inside` a batch
    answers 207 and the status stands at its first operation. `slow` waits, then performs. `stale` answers a read with
    the version before the last write, which for a new document is 404, as weaker consistency may. `repeat` answers a
    change feed with the changes it gave before, as after a lease that was not moved on. `garbled` performs, and answers
    half of what it has to say.
    """

    kind: Kind
    operation: Operation | None = Field(default=None, description="only requests of this kind; a batch is one")
    container: str = Field(default="", description="only requests on this container")
    performed: bool = Field(default=False, description="the request is performed, and then answered like this")
    inside: bool = Field(default=False, description="within the answer to a batch")
    retry_after_ms: int = Field(default=10, ge=0, le=600_000, description="the pause to ask for")
    seconds: float = Field(default=1.0, ge=0, le=600, description="how slow, for `slow`")

    def refusal(self) -> Refused:
        """The answer, for a kind that answers by itself."""
        status = _STATUS[self.kind]
        pause = {"x-ms-retry-after-ms": str(self.retry_after_ms)} if status in {429, 449} else {}
        return Refused(status, f"As asked for: {self.kind}.", substatus=_SUBSTATUS.get(self.kind, 0), headers=pause)

    def meets(self, operation: Operation, container: str) -> bool:
        """Whether it is about such a request; a stale answer is one to a read, and a repeated one a feed's."""
        if self.operation not in {None, operation} or self.container not in {"", container}:
            return False
        return {"stale": "read", "repeat": "feed"}.get(self.kind, operation) == operation

    @property
    def answers(self) -> bool:
        """Whether it answers with a status of its own."""
        return self.kind in _STATUS


class Faults(Rules[Fault]):
    """The rules in force."""

    def next(self, operation: Operation, container: str) -> Fault | None:
        """What is to happen to this request, if anything."""
        return self.first(lambda fault: fault.meets(operation, container))


class History:
    """The version each document had before its last write; None where it did not exist."""

    def __init__(self) -> None:
        self._before: OrderedDict[tuple[int, str, str], Stored | None] = OrderedDict()

    def remember(self, container: Container, key: Key, id_: str, before: Stored | None) -> None:
        """Keep what a write replaced."""
        place = (container.number, key.text, id_)
        self._before[place] = before
        self._before.move_to_end(place)
        if len(self._before) > HISTORY_MAX:
            self._before.popitem(last=False)

    def stale(self, container: Container, key: Key, id_: str, stored: Stored | None) -> Stored | None:
        """What a stale read finds: the version before, or the present one if nothing was written since the start."""
        return self._before.get((container.number, key.text, id_), stored)
