"""Failures on demand: rules that hit requests, each so many times or for a part of them, the first that matches."""

import random
from collections.abc import Callable

from pydantic import Field

from local.emulators.replies import Control


class Rule(Control):
    """What every rule says, whatever it does to a request."""

    times: int | None = Field(default=None, ge=1, description="how many requests it hits; unset: until cleared")
    fraction: float = Field(default=1.0, gt=0, le=1, description="the part of matching requests it hits")


class Rules[R: Rule]:
    """The rules in force; they end with the process."""

    def __init__(self) -> None:
        self._rules: list[tuple[R, int]] = []
        self.hits = 0

    def add(self, rule: R) -> None:
        """Put a rule behind those in force."""
        self._rules.append((rule, 0))

    def clear(self) -> None:
        """A good day again."""
        self._rules.clear()

    def first(self, matches: Callable[[R], bool]) -> R | None:
        """The first rule that matches and strikes, if any; it counts as a hit."""
        for place, (rule, hit) in enumerate(self._rules):
            if not matches(rule):
                continue
            if rule.fraction < 1 and random.random() >= rule.fraction:  # noqa: S311 - chance, no secret
                continue
            if rule.times is not None and hit + 1 >= rule.times:
                del self._rules[place]
            else:
                self._rules[place] = (rule, hit + 1)
            self.hits += 1
            return rule
        return None
