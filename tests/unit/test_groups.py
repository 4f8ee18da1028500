"""Tests that share something costly, or must not run at once, are given to one process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.groups import group_of

ROOT: Final = Path(__file__).parents[2]


MODULES: Final = {
    "test_sharing.py": "@pytest.fixture(scope='module')\ndef shop(): ...",
    "test_marked.py": "pytestmark = [pytest.mark.torture, pytest.mark.xdist_group('on-sale')]",
    "test_one.py": "@pytest.mark.xdist_group('on-sale')\ndef test_a(): ...\ndef test_b(): ...",
    "test_both.py": "pytestmark = pytest.mark.xdist_group('smoke')\n@pytest.fixture(scope='module')\ndef shop(): ...",
    "test_alone.py": "@pytest.fixture(scope='session')\ndef shop(): ...",
    "doubles/conftest.py": "@pytest.fixture(scope='module')\ndef mailbox(): ...",
    "doubles/test_mailbox.py": "def test_a(): ...",
    "smoke/conftest.py": "@pytest.fixture(scope='package')\ndef shop(): ...",
    "smoke/test_new.py": "def test_a(): ...",
    "smoke/test_marked.py": "pytestmark = pytest.mark.xdist_group('on-sale')",
    "smoke/late/test_deeper.py": "@pytest.fixture(scope='module')\ndef shop(): ...",
}
EXPECTED: Final = {
    "test_sharing.py::test_a[GET /api]": "test_sharing.py",
    "test_marked.py::TestA::test_a": "on-sale",
    "test_one.py::test_a[1-2]": "on-sale",
    "test_one.py::test_b": "test_one.py::test_b",
    "test_both.py::test_a": "smoke",
    "test_alone.py::test_a[a::b]": "test_alone.py::test_a[a::b]",
    "doubles/test_mailbox.py::test_a": "doubles/test_mailbox.py",
    "smoke/test_new.py::test_a": "smoke",
    "smoke/test_marked.py::test_a": "smoke",
    "smoke/late/test_deeper.py::test_a": "smoke",
}


def test_tests_of_a_group_and_of_a_module_or_folder_with_fixtures_of_its_own_belong_together(tmp_path: Path) -> None:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert {nodeid: group_of(nodeid, tmp_path) for nodeid in EXPECTED} == EXPECTED


CONFTEST: Final = "from tests.conftest import pytest_xdist_make_scheduler"
PROBE: Final = """
from pathlib import Path
import pytest

@pytest.fixture(scope="module")
def shared():
    with Path("log").open("a") as log:
        log.write("started|")

@pytest.mark.parametrize("number", range(6))
def test_one(shared, number):
    pass
"""


def test_what_a_module_shares_is_started_by_one_process(tmp_path: Path) -> None:
    """Through pytest and pytest-xdist as they are installed: groups once stopped working without a word."""
    (tmp_path / "pytest.ini").write_text("[pytest]")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_probe.py").write_text(PROBE)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "log").read_text() == "started|"
