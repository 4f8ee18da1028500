"""Tests that share something costly, or must not run at once, are given to one process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.groups import group_of

ROOT: Final = Path(__file__).parents[2]


def test_tests_of_a_group_and_of_a_module_with_fixtures_of_its_own_belong_together() -> None:
    smoke, sale, same = (
        "tests/infra/test_smoke.py::test_x", "tests/property/test_on_sale.py::test_y[1-2]",
        "tests/property/test_same_key.py::test_the_same_keys_in_two_processes_are_one_order_each",
    )  # fmt: skip
    assert [group_of(each, ROOT) for each in (smoke, sale, same)] == ["smoke", "on-sale", "on-sale"]
    assert group_of("tests/functions/test_matrix.py::test_x[GET /api/events]", ROOT) == "tests/functions/test_matrix.py"
    alone = "tests/functions/test_mail.py::test_x[a::b]"
    assert group_of(alone, ROOT) == alone


CONFTEST = """
from tests.support.groups import scheduler

def pytest_xdist_make_scheduler(config, log):
    return scheduler(config, log)
"""
PROBE = """
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
