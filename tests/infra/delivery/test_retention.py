"""How long packages are kept: never too short to go back, and not for ever."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.infra.cloud import ACCOUNT, Cloud
from tests.infra.delivery.support import NOW
from tools.delivery.azure import AzureFailed
from tools.delivery.history import History, Mark, moment_of, time_of
from tools.delivery.lease import Occupied
from tools.delivery.publishing import Publishing
from tools.delivery.retention import KEPT_FOR, TRUSTED_KEPT, prune, superfluous

LATER: Final = NOW + KEPT_FOR + timedelta(days=100)


def blobs(version: str, **marks: datetime) -> list[str]:
    """A whole version, of which this was said."""
    said = [f"{version}/{mark}/{moment_of(moment)}" for mark, moment in marks.items()]
    return [f"{version}/tessera.zip", f"{version}/tessera.json", *said]


def published(version: str, day: int, **marks: int) -> list[str]:
    """One that was published that day, and what was said of it on other days."""
    at = {mark: NOW + timedelta(days=each) for mark, each in {"publishing": day, "published": day, **marks}.items()}
    return blobs(version, **at)


def written(names: list[str]) -> dict[str, datetime]:
    """When each was written: a mark at its moment, a package before anything was said of it."""
    said = {name: time_of(name.rpartition("/")[2]) for name in names if name.count("/") == 2}
    before = {name: min([at for mark, at in said.items() if mark.split("/")[0] == name.split("/")[0]], default=NOW)
              for name in names if name not in said}  # fmt: skip
    return said | before


def kept(names: list[str], now: datetime) -> set[str]:
    gone = set(superfluous(written(names), now))
    return {each.name for each in History.of([name for name in names if name not in gone]).all()}


def test_what_runs_and_the_last_that_may_be_gone_back_to_are_kept_however_old() -> None:
    trusted = [f"t{day}" for day in range(10)]
    names = [name for day, version in enumerate(trusted) for name in published(version, day, passed=day)]
    names += published("untested", 11) + published("bad", 12, passed=12, bad=13) + published("runs", 14)

    assert kept(names, LATER) == {"runs", *trusted[-TRUSTED_KEPT:]}
    assert History.of(names).target("", "").name in kept(names, LATER)


def test_what_is_young_is_kept_whatever_is_said_of_it() -> None:
    names = published("untested", 0) + published("bad", 1, passed=1, bad=2) + published("runs", 3)
    names += [f"interrupted/publishing/{moment_of(NOW)}", "interrupted/tessera.zip"]

    assert superfluous(written(names), NOW + KEPT_FOR - timedelta(hours=1)) == []
    assert kept(names, NOW + KEPT_FOR + timedelta(days=1, hours=1)) == {"bad", "runs"}


def test_a_version_goes_with_all_that_was_said_of_it_and_is_not_whole_from_the_first_moment_on() -> None:
    names = [*published("old", 0, bad=1), *published("runs", 2)]
    others = {"old/a-mark-of-a-later-version/1": NOW, "publishing.lock": NOW}

    gone = superfluous(written(names) | others, LATER)

    assert gone[0] == "old/tessera.json"
    assert sorted(gone) == sorted(name for name in [*names, *others] if name.startswith("old/"))


def test_what_nobody_said_anything_of_is_as_old_as_azure_says_and_what_is_no_versions_stays() -> None:
    """A publication died before its first mark; a later tool said what we do not know; somebody left a note."""
    others = dict.fromkeys(
        ("new/tessera.zip", "half/tessera.json", "later/tessera.zip", "later/tested-twice/1"), LATER - KEPT_FOR
    )
    notes = {"notes/readme.txt": NOW}
    names = written(published("runs", 3)) | others | notes

    assert superfluous(names, LATER) == []
    names["later/tested-twice/1"] = LATER
    assert sorted(superfluous(names, LATER + timedelta(hours=1))) == ["half/tessera.json", "new/tessera.zip"]


def test_where_nobody_knows_what_runs_nothing_goes() -> None:
    assert superfluous(written(blobs("old", passed=NOW)), LATER) == []


MOMENTS: Final = st.integers(0, 300).map(
    lambda hours: moment_of(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours))
)
SAID: Final = st.lists(st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(list(Mark)), MOMENTS), max_size=40)


@given(SAID)
def test_marks_that_go_change_nothing_of_what_is_known(said: list[tuple[str, Mark, str]]) -> None:
    names = ["one/tessera.json", "two/tessera.json", *{f"{version}/{mark}/{moment}" for version, mark, moment in said}]
    now = datetime(2026, 1, 14, tzinfo=UTC)
    gone = set(superfluous(written(names), now))
    left = [name for name in names if name not in gone]
    before, after = History.of(names), History.of(left)

    assert after.running() == before.running()
    for name, version in after.versions.items():
        whole = before.versions[name]
        assert (version.bad_since, version.trusted) == (whole.bad_since, whole.trusted)
        assert {mark: version.last(mark) for mark in Mark} == {mark: whole.last(mark) for mark in Mark}
    assert len(left) <= 2 * (1 + 2 * len(Mark)) or before.running() is None


def hold(cloud: Cloud, names: Mapping[str, datetime]) -> None:
    """As if all this had been written there then."""
    for name, at in names.items():
        path = cloud.home / "blobs" / ACCOUNT / "releases" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at.timestamp(), at.timestamp()))


@pytest.fixture
def years(cloud: Cloud) -> list[str]:
    """More versions than are kept, the oldest of them first; the newest passed once more, years later."""
    versions = [f"v{day}" for day in range(TRUSTED_KEPT + 2)]
    names = [name for day, version in enumerate(versions) for name in published(version, day, passed=day)]
    hold(cloud, written([*names, f"{versions[-1]}/{Mark.PASSED}/{moment_of(LATER)}"]))
    return versions


def left(publishing: Publishing) -> set[str]:
    return {each.name for each in publishing.releases.history().all()}


def test_what_nobody_needs_is_deleted(publishing: Publishing, years: list[str]) -> None:
    told: list[str] = []

    prune(publishing.releases, LATER, told.append)

    assert left(publishing) == set(years[1:])
    assert told == ["5 of 5 blobs that nobody needs any more were deleted."]
    assert [name for name in publishing.releases.names() if name.startswith(years[0])] == []


def test_a_clock_that_is_ahead_makes_nothing_older(cloud: Cloud, publishing: Publishing) -> None:
    versions = [f"v{day}" for day in range(TRUSTED_KEPT + 2)]
    hold(cloud, written([name for day, version in enumerate(versions) for name in published(version, day, passed=day)]))
    hold(cloud, {"publishing.lock": NOW})

    prune(publishing.releases, LATER, lambda _: None)

    assert left(publishing) == set(versions)


def test_nothing_is_deleted_while_somebody_publishes(publishing: Publishing, years: list[str]) -> None:
    with publishing.releases.alone(lambda _: None, 0.0), pytest.raises(Occupied):
        prune(publishing.releases, LATER, lambda _: None)

    assert left(publishing) == set(years)


@pytest.mark.usefixtures("years")
def test_what_was_needless_under_a_lease_that_is_gone_is_not_deleted(cloud: Cloud, publishing: Publishing) -> None:
    """A laptop slept over its list, and so did its clock: only Azure knows that somebody else has had a turn."""
    told: list[str] = []
    with publishing.releases.alone(lambda _: None, 0.0):
        before = publishing.releases.names()
    cloud.write("faults", {"renewals": "ErrorCode:LeaseIdMismatchWithLeaseOperation"})

    prune(publishing.releases, LATER, told.append)

    assert publishing.releases.names() == before
    assert told == [
        "Somebody may publish now, so no more is deleted.",
        "0 of 5 blobs that nobody needs any more were deleted.",
    ]


def test_what_azure_does_not_delete_goes_another_time(cloud: Cloud, publishing: Publishing, years: list[str]) -> None:
    cloud.write("faults", {"deletions": "tessera.zip"})
    with pytest.raises(AzureFailed):
        prune(publishing.releases, LATER, lambda _: None)
    assert left(publishing) == set(years[1:])

    cloud.write("faults", {})
    prune(publishing.releases, LATER, lambda _: None)

    assert years[0] not in publishing.releases.history().versions


@pytest.mark.usefixtures("years")
def test_a_long_history_goes_piece_by_piece(publishing: Publishing) -> None:
    told: list[str] = []

    for _ in range(3):
        prune(publishing.releases, LATER, told.append, at_most=3)

    assert told == [f"{number} blobs that nobody needs any more were deleted." for number in ("3 of 5", "2 of 2")]
