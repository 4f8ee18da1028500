"""Going back: to which version, from which one, and when not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.infra.cloud import APPS, Cloud
from tests.infra.delivery.support import NOW, at, delivered, kept_as, packed, runs
from tools.delivery.azure import AzureFailed
from tools.delivery.history import Mark, NothingToGoBackTo, NotRunning, Version
from tools.delivery.package import PackageDamaged
from tools.delivery.publishing import Publishing


def test_going_back_publishes_the_version_that_passed_last_and_marks_the_one_that_ran(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    made = [packed(tmp_path, name) for name in ("one", "two", "three", "four")]
    for hour, package in enumerate(made):
        delivered(publishing, package, hour, passes=hour < 2)  # three was never tested, and four fails

    assert publishing.go_back(tmp_path, at(5)) == (made[3][1].version, made[1][1].version)

    assert cloud.published() == dict.fromkeys(APPS, made[1][0].read_bytes())
    history = publishing.releases.history()
    assert [each.name for each in history.all() if each.bad_since] == [made[3][1].version]


def test_going_back_twice_never_comes_to_a_version_that_turned_bad(publishing: Publishing, tmp_path: Path) -> None:
    """Each passed when it was new: the smoke test did not see what was wrong."""
    one, two, three = [delivered(publishing, packed(tmp_path, name), n) for n, name in enumerate(("a", "b", "c"))]

    assert publishing.go_back(tmp_path, at(5)) == (three, two)
    assert publishing.go_back(tmp_path, at(6)) == (two, one)
    with pytest.raises(NothingToGoBackTo, match="each that did is marked as bad"):
        publishing.go_back(tmp_path, at(7))
    assert runs(publishing) == one


def test_what_runs_decides_and_not_what_somebody_thinks_does(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    one, two = [delivered(publishing, packed(tmp_path, name), n) for n, name in enumerate(("a", "b"))]
    before = cloud.published()

    for wrong in (one, "b-typo"):
        with pytest.raises(NotRunning, match=f"{wrong} does not run; {two} does. Nothing was changed."):
            publishing.go_back(tmp_path, at(5), failed=wrong)
    assert (cloud.published(), publishing.releases.history().versions[two].bad_since) == (before, "")
    assert publishing.go_back(tmp_path, at(6), failed=two) == (two, one)


def test_a_version_is_asked_for_by_name_tested_or_not(publishing: Publishing, tmp_path: Path) -> None:
    one, two, three = [
        delivered(publishing, packed(tmp_path, name), n, passes=n > 0) for n, name in enumerate(("a", "b", "c"))
    ]

    assert publishing.go_back(tmp_path, at(5), to=one) == (three, one)
    with pytest.raises(NotRunning, match=f"{one} runs already"):
        publishing.go_back(tmp_path, at(6), to=one)
    with pytest.raises(NotRunning, match="d is not kept here"):
        publishing.go_back(tmp_path, at(6), to="d")
    assert publishing.go_back(tmp_path, at(7)) == (one, two)


def test_a_way_back_that_was_interrupted_is_gone_to_its_end(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    made = [packed(tmp_path, name) for name in ("a", "b", "c")]
    _, two, three = [delivered(publishing, package, n) for n, package in enumerate(made)]
    cloud.write("faults", {"apps": [APPS[1]]})
    with pytest.raises(AzureFailed):
        publishing.go_back(tmp_path, at(5))
    cloud.write("faults", {})
    half = runs(publishing)

    assert publishing.go_back(tmp_path, at(6)) == ("", two)

    assert (half, runs(publishing)) == ("", two)
    assert cloud.published() == dict.fromkeys(APPS, made[1][0].read_bytes())
    assert [each.name for each in publishing.releases.history().all() if each.bad_since] == [three]


def test_a_pipelines_way_back_that_was_interrupted_is_gone_to_its_end_by_its_job(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")
    delivered(publishing, one, 1)
    delivered(publishing, two, 2, passes=False)
    words = ["rollback", "--environment", "dev", "--package", str(two[0])]
    cloud.write("faults", {"apps": [APPS[1]]})
    assert cloud.command(*words)[0] == 1
    half = cloud.published()
    cloud.write("faults", {})

    code, text = cloud.command(*words)

    assert half == {APPS[0]: one[0].read_bytes(), APPS[1]: two[0].read_bytes()}
    assert (code, f"{one[1].version} runs again" in text) == (0, True), text
    assert cloud.published() == dict.fromkeys(APPS, one[0].read_bytes())
    code, text = cloud.command(*words)
    assert (code, f"{one[1].version} does, and stays." in text) == (0, True), text


def test_what_another_run_publishes_at_this_moment_is_not_gone_back_from(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    """What failed is not marked as bad, so nobody was on a way back from it."""
    one, two, three = packed(tmp_path, "one"), packed(tmp_path, "two"), packed(tmp_path, "three")
    delivered(publishing, one, 1)
    delivered(publishing, two, 2, passes=False)
    cloud.write("faults", {"apps": [APPS[1]]})
    with pytest.raises(AzureFailed):
        publishing.publish(*three, at(3))

    said = publishing.releases.history().stays(two[1].version)

    assert "on some apps only: publish it again, or roll back" in said
    with pytest.raises(NotRunning):
        publishing.go_back(tmp_path, at(4), failed=two[1].version)


def test_what_is_said_counts_after_what_was_said_before_whatever_clocks_say(
    publishing: Publishing, tmp_path: Path
) -> None:
    """The clock of the smoke test was ahead."""
    one = delivered(publishing, packed(tmp_path, "one"), 1)
    two = delivered(publishing, packed(tmp_path, "two"), 2, passes=False)
    publishing.releases.mark(two, Mark.PASSED, at(23))

    assert publishing.go_back(tmp_path, at(3)) == (two, one)

    assert not publishing.releases.history().versions[two].trusted


def said(**marks: str) -> Version:
    """A version with marks at these hours."""
    return Version("v", True, {name: tuple(hours) for name, hours in marks.items()})


@pytest.mark.parametrize(
    ("version", "trusted"),
    [
        (said(passed="1"), True),
        (said(), False),
        (said(bad="1", passed="2"), True),  # its first test failed, for whatever reason, and the next one did not
        (said(passed="1", bad="2"), False),
        (said(passed="13", bad="2"), False),  # what the test did not see then it does not see now
        (said(passed="1", bad="2", good="3"), True),
        (said(passed="1", bad="24", good="3"), False),
        (replace(said(passed="1"), kept=False), False),
    ],
)
def test_a_version_that_turned_bad_after_it_had_passed_is_bad_until_somebody_says_otherwise(
    version: Version, trusted: bool
) -> None:
    assert version.trusted is trusted


def test_a_version_that_passed_again_counts_by_the_last_time(publishing: Publishing, tmp_path: Path) -> None:
    one, two, three = packed(tmp_path, "one"), packed(tmp_path, "two"), packed(tmp_path, "three")
    for hour, package in enumerate((one, two, one)):
        delivered(publishing, package, hour)
    delivered(publishing, three, 4, passes=False)

    assert publishing.releases.history().target("", "").name == one[1].version


def test_where_no_other_version_ever_passed_nothing_is_changed(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    version = delivered(publishing, packed(tmp_path, "one"), 1)
    publishing.releases.keep(*packed(tmp_path, "untested"))
    before = cloud.published()

    with pytest.raises(NothingToGoBackTo, match="has passed its smoke test here"):
        publishing.go_back(tmp_path, at(2))

    assert (cloud.published(), publishing.releases.history().versions[version].bad_since) == (before, "")


def test_where_nobody_knows_what_runs_a_version_has_to_be_named(publishing: Publishing, tmp_path: Path) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.releases.keep(package, manifest)
    publishing.releases.mark(manifest.version, Mark.PASSED, NOW)

    with pytest.raises(NothingToGoBackTo, match="say --to <version>"):
        publishing.go_back(tmp_path, at(13))
    assert publishing.go_back(tmp_path, at(13), to=manifest.version) == ("", manifest.version)


def test_a_version_that_was_not_kept_whole_is_not_gone_back_to(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    one = packed(tmp_path, "one")
    delivered(publishing, one, 1)
    delivered(publishing, packed(tmp_path, "two"), 2)
    (kept_as(cloud, one[1]) / "tessera.json").unlink()

    with pytest.raises(NothingToGoBackTo):
        publishing.go_back(tmp_path, at(3))


def test_a_kept_package_that_was_changed_is_not_published(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    one = packed(tmp_path, "one")
    delivered(publishing, one, 1)
    two = delivered(publishing, packed(tmp_path, "two"), 2)
    (kept_as(cloud, one[1]) / "tessera.zip").write_bytes(b"another")

    with pytest.raises(
        PackageDamaged, match=f"^{one[1].version}/tessera.zip in .*nothing was published. .*`rollback --to`"
    ):
        publishing.go_back(tmp_path, at(3))

    assert (runs(publishing), publishing.releases.history().versions[two].bad_since) == (two, "")


@pytest.mark.parametrize(("mark", "goes_back"), [(None, True), (Mark.PASSED, False), (Mark.UNDECIDED, False)])
def test_a_pipeline_goes_back_only_from_what_it_published_and_found_wrong(
    cloud: Cloud, publishing: Publishing, tmp_path: Path, mark: Mark | None, goes_back: bool
) -> None:
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")
    delivered(publishing, one, 1)
    publishing.publish(*two, at(2))
    if mark is not None:
        publishing.releases.mark(two[1].version, mark, at(2, 30))
    before = publishing.releases.history()

    code, text = cloud.command("rollback", "--environment", "dev", "--package", str(two[0]))

    assert (code, runs(publishing)) == (0, one[1].version if goes_back else two[1].version), text
    if not goes_back:
        assert publishing.releases.history() == before
    code, text = cloud.command("rollback", "--environment", "dev", "--package", str(packed(tmp_path, "three")[0]))
    assert (code, "does not run here" in text) == (0, True)  # the stage ended before it published anything
