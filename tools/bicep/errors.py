"""What is wrong with a Bicep file, and where."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, order=True)
class Place:
    """A line of a file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class BicepError(Exception):
    """A construct that cannot be read or evaluated; it names file and line."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


@dataclass(frozen=True, order=True)
class Finding:
    """Something that can be read, and is wrong all the same."""

    place: Place
    problem: str

    @classmethod
    def of(cls, refused: BicepError) -> Self:
        """What was refused, as a finding."""
        return cls(refused.place, refused.problem)

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"
