"""Tests of one group run in one process, though pytest runs them in several."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = 12
NOTING: Final = """
import os
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range({tests}))
@pytest.mark.xdist_group({group!r})
def test_whose_process_is_noted(number):
    Path({folder!r}, f"{{os.environ['PYTEST_XDIST_WORKER']}}.{{number}}").touch()
"""


def test_of_two_processes_each_runs_the_tests_of_one_group(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = xdist_group\n")
    groups = ("here", "there")
    for group in groups:
        (tmp_path / group).mkdir()
        text = NOTING.format(tests=TESTS, group=group, folder=str(tmp_path / group))
        (tmp_path / f"test_{group}.py").write_text(text)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False, timeout=300)

    assert ended.returncode == 0, ended.stdout
    ran = {group: [note.name.partition(".")[0] for note in (tmp_path / group).iterdir()] for group in groups}
    assert {group: len(processes) for group, processes in ran.items()} == dict.fromkeys(groups, TESTS)
    assert sorted(set(ran["here"])) + sorted(set(ran["there"])) in (["gw0", "gw1"], ["gw1", "gw0"])
