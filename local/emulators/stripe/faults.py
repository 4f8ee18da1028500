"""Failures of the API on demand: what a network and a busy Stripe do to a client once in a while."""

from typing import Literal

from pydantic import Field

from local.emulators.rules import Rule, Rules

Kind = Literal["error", "reset", "slow", "lost", "garbage", "throttle"]


class Fault(Rule):
    """One rule; the first that matches a request decides.

    `error` answers 500, `throttle` 429 with `seconds` as Retry-After (0: none) and `reset` cuts the connection, all
    before anything happened; `lost` cuts it and `garbage` answers nonsense after the action was performed; `slow`
    waits, then performs it.
    """

    kind: Kind
    seconds: float = Field(
        default=1.0, ge=0, le=600, description="how slow, for `slow`; the pause to ask for, for `throttle`"
    )
    path: str = Field(default="", description="only requests whose path contains this")
    method: Literal["GET", "POST"] | None = None


class Faults(Rules[Fault]):
    """The rules in force."""

    def next(self, method: str, path: str) -> Fault | None:
        """What is to happen to this request, if anything."""
        return self.first(lambda fault: fault.path in path and fault.method in {None, method})
