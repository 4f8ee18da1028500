"""What a network and a busy Service Bus do to a client once in a while, on demand."""

from typing import Literal

from pydantic import Field

from local.emulators.replies import Control

Kind = Literal["lost-publish", "lost-settlement", "doubled", "busy"]


class Fault(Control):
    """One rule, in force for the next `times` occasions.

    `lost-publish` keeps a message and cuts the connection before saying so; `lost-settlement` settles a delivery and
    does the same; `doubled` delivers a published message twice; `busy` rejects it with `com.microsoft:server-busy`.
    """

    kind: Kind
    times: int = Field(default=1, ge=1, le=1_000_000)


class Refusal(Control):
    """Connections are refused for a while."""

    seconds: float = Field(gt=0, le=3600)


class Faults:
    """The rules in force; they end with the process."""

    def __init__(self) -> None:
        self._left: dict[Kind, int] = {}
        self.hits = 0

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        self._left[fault.kind] = self._left.get(fault.kind, 0) + fault.times

    def clear(self) -> None:
        """A good day again."""
        self._left.clear()

    def take(self, kind: Kind) -> bool:
        """Whether this is to happen now; it counts."""
        left = self._left.get(kind, 0)
        if left == 0:
            return False
        self._left[kind] = left - 1
        self.hits += 1
        return True
