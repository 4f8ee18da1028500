"""What was done with each version, read from the names of what is kept: which one runs, and which one to go back to.

A mark is a blob `<version>/<mark>/<moment>`. What is said of a version stays said for as long as it is kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Self

MANIFEST: Final = "tessera.json"
_MOMENT: Final = "%Y%m%dT%H%M%S.%fZ"  # to the microsecond, so that their order as texts is their order in time


class NothingToGoBackTo(Exception):
    """No other version has passed its smoke test here, or nobody knows what runs."""


class NotRunning(Exception):
    """The version that should not run does not, or the one asked for is not kept; nothing was changed."""


class Mark(StrEnum):
    """What can be said of a version."""

    PUBLISHING = "publishing"  # before the first app has it
    PUBLISHED = "published"  # every app has it; of the same moment as its `publishing`
    PASSED = "passed"  # its smoke test
    UNDECIDED = "undecided"  # its smoke test found nothing wrong, and could not look everywhere
    BAD = "bad"  # it ran and should not
    GOOD = "good"  # somebody says that it is not bad after all


@dataclass(frozen=True, slots=True)
class Version:
    """A version and what was said of it.

    :param kept: whether its package is here, whole
    :param marks: mark → its moments, oldest first
    """

    name: str
    kept: bool = False
    marks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def last(self, mark: Mark) -> str:
        """When that was last said; empty: never."""
        return max(self.marks.get(mark, ()), default="")

    @property
    def bad_since(self) -> str:
        """Since when it is bad; empty: it is not.

        A version that turned bad after it had passed shows what the smoke test does not see; passing once more proves
        nothing then. One that never had is good with its first pass.
        """
        bad, passed = self.last(Mark.BAD), self.marks.get(Mark.PASSED, ())
        lifted = self.last(Mark.GOOD) > bad or (self.last(Mark.PASSED) > bad and min(passed) > bad)
        return "" if lifted else bad

    @property
    def trusted(self) -> bool:
        """Whether it may be gone back to unasked."""
        return self.kept and bool(self.last(Mark.PASSED)) and not self.bad_since


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published last.

    :param whole: whether every app got it
    """

    version: str
    moment: str
    whole: bool


@dataclass(frozen=True, slots=True)
class History:
    """What is known of an environment; pure."""

    versions: Mapping[str, Version]

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """As the names of the blobs tell it."""
        kept, marks = set[str](), dict[str, dict[str, list[str]]]()
        for name in sorted(names):
            version, _, rest = name.partition("/")
            if not rest:  # no version's: the blob that publications take turns by
                continue
            mark, _, moment = rest.partition("/")
            of_version = marks.setdefault(version, {})
            if rest == MANIFEST:
                kept.add(version)
            elif mark in set(Mark):
                of_version.setdefault(mark, []).append(moment)
        return cls({
            name: Version(name, name in kept, {mark: tuple(moments) for mark, moments in said.items()})
            for name, said in marks.items()
        })  # fmt: skip

    def all(self) -> list[Version]:
        """Every whole version, those that passed last first."""
        kept = [each for each in self.versions.values() if each.kept]
        return sorted(kept, key=lambda each: each.last(Mark.PASSED), reverse=True)

    def running(self) -> Publication | None:
        """What was published last; None: nothing yet."""
        begun = [each for each in self.versions.values() if each.last(Mark.PUBLISHING)]
        if not begun:
            return None
        latest = max(begun, key=lambda each: each.last(Mark.PUBLISHING))
        moment = latest.last(Mark.PUBLISHING)
        return Publication(latest.name, moment, moment in latest.marks.get(Mark.PUBLISHED, ()))

    def after(self, now: datetime, version: str) -> datetime:
        """A moment for what is said of a version: now, unless another clock was ahead of ours.

        It is later than the beginning of the last publication and than all that was said of the version, or a mark
        would count as lifted by one that was made before it.
        """
        runs, said = self.running(), self.versions.get(version, Version(version)).marks
        newest = max([runs.moment if runs else "", *(max(moments) for moments in said.values())])
        return now if moment_of(now) > newest else time_of(newest) + timedelta(microseconds=1)

    def target(self, failed: str, to: str) -> Version:
        """The version to publish instead of the one that runs.

        :param failed: the version that should not run; empty: whichever does
        :param to: the version wanted; empty: the one that passed last and did not turn bad

        :raises NotRunning: `failed` does not run, or `to` is not kept
        :raises NothingToGoBackTo: nobody knows what runs, or no other may be trusted
        """
        runs = self.running()
        if runs is not None and self._interrupted(failed):
            failed = ""
        if failed and (runs is None or runs.version != failed):
            raise NotRunning(f"{failed} does not run; {runs.version if runs else 'nothing'} does. Nothing was changed.")
        if to:
            return self._named(to, runs)
        if runs is None:
            raise NothingToGoBackTo("Nobody wrote down what runs here: say --to <version>; `releases` lists them.")
        if not failed and not runs.whole and self.versions[runs.version].trusted:
            return self.versions[runs.version]  # going back to it was interrupted
        for each in self.all():
            if each.trusted and each.name != runs.version:
                return each
        raise NothingToGoBackTo(
            f"No other version than {runs.version} has passed its smoke test here, or each that did is marked as bad, "
            "so it stays. Mend it and publish again, or say --to <version>."
        )

    def _named(self, to: str, runs: Publication | None) -> Version:
        found = self.versions.get(to)
        if found is None or not found.kept:
            raise NotRunning(f"{to} is not kept here; `releases` lists those that are. Nothing was changed.")
        if runs is not None and runs.whole and runs.version == to:
            raise NotRunning(f"{to} runs already. Nothing was changed.")
        return found

    def _interrupted(self, failed: str) -> bool:
        """Whether a way back from this version did not come to its end, so that apps may have it still."""
        runs, said = self.running(), self.versions.get(failed, Version(failed))
        if runs is None or runs.whole or runs.version == failed:
            return False
        return bool(said.bad_since) and self.versions[runs.version].trusted

    def stays(self, version: str) -> str:
        """Why a pipeline whose stage failed leaves what runs as it is; empty: it has to go back, or on with that."""
        runs = self.running()
        if self._interrupted(version):
            return ""
        if runs is None or runs.version != version:
            partly = "" if runs is None or runs.whole else " on some apps only: publish it again, or roll back"
            return f"{version} does not run here; {runs.version if runs else 'nothing'} does, and stays{partly}."
        said = self.versions[version]
        for mark, why in (
            (Mark.PASSED, "its smoke test passed"),
            (Mark.UNDECIDED, "its smoke test found nothing wrong, and could not look everywhere: see its report"),
        ):
            if runs.whole and said.last(mark) >= runs.moment:
                return f"{version} stays: {why}."
        return ""


def moment_of(now: datetime) -> str:
    """A moment as marks have it."""
    return f"{now:{_MOMENT}}"


def time_of(moment: str) -> datetime:
    """The time of a mark."""
    return datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC)
