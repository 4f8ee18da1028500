"""Failures of the API on demand: what a network and a busy Stripe do to a client once in a while."""

import random
from typing import Literal

from pydantic import Field

from local.emulators.replies import Control

Kind = Literal["error", "reset", "slow", "lost", "garbage", "throttle"]


class Fault(Control):
    """One rule; the first that matches a request decides.

    `error` answers 500, `throttle` 429 with `seconds` as Retry-After (0: none) and `reset` cuts the connection, all
    before anything happened; `lost` cuts it and `garbage` answers nonsense after the action was performed; `slow`
    waits, then performs it.
    """

    kind: Kind
    times: int | None = Field(default=None, ge=1, description="how many requests it hits; unset: until cleared")
    fraction: float = Field(default=1.0, gt=0, le=1, description="the part of matching requests it hits")
    seconds: float = Field(
        default=1.0, ge=0, le=600, description="how slow, for `slow`; the pause to ask for, for `throttle`"
    )
    path: str = Field(default="", description="only requests whose path contains this")
    method: Literal["GET", "POST"] | None = None


class Faults:
    """The rules in force; they end with the process."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, int]] = []
        self.hits = 0

    def add(self, fault: Fault) -> None:
        """Put a rule behind those in force."""
        self._rules.append((fault, 0))

    def clear(self) -> None:
        """A good day again."""
        self._rules.clear()

    def next(self, method: str, path: str) -> Fault | None:
        """What is to happen to this request, if anything."""
        for place, (fault, hit) in enumerate(self._rules):
            if fault.path not in path or fault.method not in {None, method}:
                continue
            if fault.fraction < 1 and random.random() >= fault.fraction:  # noqa: S311 - no secret
                continue
            if fault.times is not None and hit + 1 >= fault.times:
                del self._rules[place]
            else:
                self._rules[place] = (fault, hit + 1)
            self.hits += 1
            return fault
        return None
