"""What checks found: told to people while they run, and to pipelines as JUnit."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as Xml  # only written, never parsed

from rich.console import Console

_SUITE: Final = "smoke"


class CheckFailed(Exception):
    """Something is not as it should be; the message says what, and what was expected."""


class Inconclusive(CheckFailed):
    """A check could not be made: that ends a pipeline's stage, and speaks against nothing that was published."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check.

    :param said: what it found
    :param grave: whether its failure speaks against what was published, and not just against our view of it
    """

    name: str
    passed: bool
    seconds: float
    said: str
    grave: bool = True


@dataclass(slots=True)
class Report:
    """The checks so far.

    :param expected: what a check may raise to say that it failed; anything else is a mistake of ours
    """

    console: Console
    expected: tuple[type[Exception], ...]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there were checks, and none failed."""
        return bool(self.outcomes) and all(each.passed for each in self.outcomes)

    @property
    def undecided(self) -> bool:
        """Whether something failed, and nothing of it speaks against what was published."""
        return not self.passed and not any(each.grave and not each.passed for each in self.outcomes)

    def check[T](self, name: str, do: Callable[[], tuple[T, str]], *, grave: bool = True) -> T | None:
        """Do a check and tell what came out; what it made, or None if it failed.

        :param do: answers what it made and what it found
        :param grave: whether its failure speaks against what was published
        """
        started = time.monotonic()
        made: T | None = None
        try:
            made, said = do()
            passed = True
        except self.expected as error:
            passed, said, grave = False, str(error), grave and not isinstance(error, Inconclusive)
        self._tell(Outcome(name, passed, time.monotonic() - started, said, grave))
        return made

    def failed(self, name: str, said: str) -> None:
        """Something failed before a check could be made: nothing is known of what was published."""
        self._tell(Outcome(name, passed=False, seconds=0.0, said=said, grave=False))

    def progress(self, said: str) -> None:
        """What a check waits for."""
        self.console.print(f"… {said}", highlight=False, markup=False)

    def _tell(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        sign = "[green]✓[/green]" if outcome.passed else "[red]✗[/red]"
        self.console.print(f"{sign} {outcome.name:<26} {outcome.seconds:6.1f} s  ", end="", highlight=False)
        self.console.print(outcome.said, highlight=False, markup=False)

    def junit(self, path: Path) -> None:
        """Write what pipelines show."""
        failures = sum(not each.passed for each in self.outcomes)
        suite = Xml.Element("testsuite", name=_SUITE, tests=str(len(self.outcomes)), failures=str(failures))
        for each in self.outcomes:
            case = Xml.SubElement(suite, "testcase", classname=_SUITE, name=each.name, time=f"{each.seconds:.3f}")
            Xml.SubElement(case, "system-out" if each.passed else "failure").text = each.said
        path.parent.mkdir(parents=True, exist_ok=True)
        Xml.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
