"""Two runs of a pipeline that end out of order: the older commit does not replace the newer one by accident."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from shared.settings import SERVICES
from tests.infra.cloud import APPS, Cloud
from tests.infra.delivery.support import NOW, at, delivered, packed, runs
from tools.delivery.commits import committed, committed_at, head, leads_to
from tools.delivery.package import Manifest, Older, refuse_older
from tools.delivery.publishing import Publishing

MONDAY: Final = datetime(2026, 4, 6, 9, tzinfo=UTC)
TUESDAY: Final = MONDAY + timedelta(days=1)


def dated(package: tuple[Path, Manifest], moment: datetime) -> tuple[Path, Manifest]:
    """A package of a commit of that moment; its manifest beside it says so."""
    path, manifest = package
    known = manifest.model_copy(update={"committed_at": moment})
    path.with_suffix(".json").write_text(known.model_dump_json())
    return path, known


def test_an_older_commit_is_not_published_over_a_newer_one(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    older, newer = dated(packed(tmp_path, "one"), MONDAY), dated(packed(tmp_path, "two"), TUESDAY)
    delivered(publishing, newer, 1)
    before, history = cloud.published(), publishing.releases.history()

    told = rf"{older[1].version} \(of 2026-04-06 09:00 UTC\) is older than {newer[1].version} .*nothing was changed"
    with pytest.raises(Older, match=told):
        publishing.publish(*older, at(2))

    assert (cloud.published(), publishing.releases.history()) == (before, history)
    publishing.publish(*older, at(3), older=True)
    assert runs(publishing) == older[1].version


def test_going_back_is_going_to_what_is_older(publishing: Publishing, tmp_path: Path) -> None:
    older, newer = dated(packed(tmp_path, "one"), MONDAY), dated(packed(tmp_path, "two"), TUESDAY)
    delivered(publishing, older, 1)
    delivered(publishing, newer, 2)

    assert publishing.go_back(tmp_path, at(3)) == (newer[1].version, older[1].version)
    delivered(publishing, newer, 4)


def made_of(commit: str, moment: datetime | None) -> Manifest:
    functions = dict.fromkeys(SERVICES, ("live",))
    return Manifest(version=f"{commit}-00000000", sha256="0" * 64, functions=functions, committed_at=moment)


@pytest.mark.parametrize(
    ("new", "runs", "leads", "older"),
    [
        (made_of("a", MONDAY), made_of("b", TUESDAY), [], True),
        (made_of("b", TUESDAY), made_of("a", MONDAY), [], False),
        (made_of("a", MONDAY), made_of("b", MONDAY), [], False),
        (made_of("a-dirty", MONDAY), made_of("a", TUESDAY), [], False),  # the same commit
        (made_of("a", TUESDAY), made_of("b", MONDAY), ["ab"], True),  # a clock was wrong, and git knows better
        (made_of("b", MONDAY), made_of("a", TUESDAY), ["ab"], False),
        (made_of("a", None), made_of("b", TUESDAY), [], False),  # nobody knows
        (made_of("a", None), made_of("b", None), ["ab"], True),
    ],
)
def test_commits_say_which_is_older_and_else_their_times_do(
    new: Manifest, runs: Manifest, leads: list[str], older: bool
) -> None:
    try:
        refuse_older(new, runs, lambda earlier, later: earlier + later in leads)
        refused = False
    except Older:
        refused = True
    assert refused is older


@pytest.fixture
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of a repository of the test's own: one, one made upon it, and one made beside that; the last is checked out."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        monkeypatch.setenv(f"GIT_{name}", "somebody")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def made(name: str, when: str = "2026-04-06T09:00:00+05:30") -> str:
        monkeypatch.setenv("GIT_COMMITTER_DATE", when)
        git("commit", "--quiet", "--allow-empty", "--message", name)
        return git("rev-parse", "--short=12", "HEAD")

    git("init", "--quiet")
    first, second = made("first"), made("second")
    git("checkout", "--quiet", first)
    return [first, second, made("beside", "2026-04-07T22:30:00-08:00")]


def test_git_says_what_it_knows(commits: list[str], tmp_path: Path) -> None:
    first, second, beside = commits
    known = partial(leads_to, root=tmp_path)

    assert known(first, first)
    assert (known(first, second), known(second, first)) == (True, False)
    assert (known(first, beside), known(second, beside)) == (True, False)
    assert not known(first, "development")
    assert committed_at(tmp_path) == datetime(2026, 4, 8, 6, 30, tzinfo=UTC)
    assert head(tmp_path) == beside


@pytest.mark.usefixtures("commits")
def test_a_new_file_that_nobody_committed_makes_it_dirty(tmp_path: Path) -> None:
    clean = committed(tmp_path)
    (tmp_path / ".git" / "info" / "exclude").write_text("*.db\n")

    (tmp_path / "a.db").touch()
    assert committed(tmp_path) == clean
    (tmp_path / "backdoor.py").touch()
    assert committed(tmp_path) == f"{clean}-dirty"


def test_a_pipeline_asks_before_it_changes_anything(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    older, newer = dated(packed(tmp_path, "one"), MONDAY), dated(packed(tmp_path, "two"), TUESDAY)
    cloud.write("deployments", {})
    words = ["in-order", "--environment", "dev", "--package"]
    assert cloud.command(*words, str(older[0])) == (0, "Nothing is deployed here yet.\n")

    cloud.write("deployments", cloud.made())
    assert cloud.command(*words, str(older[0]))[0] == 0
    publishing.publish(*newer, NOW)
    code, text = cloud.command(*words, str(older[0]))

    assert (code, text.startswith(f"Not done: {older[1].version} (of 2026-04-06")) == (1, True), text
    assert [*cloud.published()] == [*APPS]
    assert cloud.command("publish", "--environment", "dev", "--package", str(older[0]))[0] == 1
    assert cloud.command("publish", "--environment", "dev", "--package", str(older[0]), "--older")[0] == 0
    assert runs(publishing) == older[1].version
