"""What make hands on: a switch that is off does nothing, above all where it would throw something away."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def would_run(*words: str) -> tuple[int, str]:
    """The exit code, and what make would run, without running it."""
    done = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


@make
@pytest.mark.parametrize("off", ["0", "no", "false", ""])
@pytest.mark.parametrize("switch", ["DISCARD", "REPLAY", "ALL", "DRY_RUN"])
def test_a_switch_that_is_off_is_not_handed_on(switch: str, off: str) -> None:
    code, told = would_run("deadletters", "QUEUE=payments", f"{switch}={off}")
    assert (code, "--discard" in told or "--replay" in told or "--all" in told or "--dry-run" in told) == (0, False)


@make
@pytest.mark.parametrize(("switch", "option"), [("DISCARD", "--discard"), ("REPLAY", "--replay"), ("ALL", "--all")])
def test_a_switch_that_is_on_is_handed_on(switch: str, option: str) -> None:
    assert option in would_run("deadletters", f"{switch}=1")[1]


@make
def test_a_switch_that_is_neither_is_refused() -> None:
    code, told = would_run("deadletters", "DISCARD=perhaps")
    assert code != 0
    assert "DISCARD=perhaps: say 1 or 0" in told
