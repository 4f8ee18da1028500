"""Ports for the parts of a stack, which are picked before anybody listens on them."""

import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STACKS = 50  # of ten ports each: picked blindly, two would share one in nine hundred and ninety-six of a thousand runs
PROGRAM = f"""
from dataclasses import astuple
from local.layout import Ports
for _ in range({STACKS}):
    print(*astuple(Ports.free()))
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ports are only looked at")
def test_no_two_stacks_of_any_two_processes_are_given_one_port() -> None:
    command = [sys.executable, "-c", PROGRAM]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    given = [process.stdout.readline().split() for process in both for _ in range(STACKS) if process.stdout]
    for process in both:
        process.communicate("\n")

    ports = list(chain.from_iterable(given))
    assert len(set(ports)) == len(ports) == 2 * STACKS * 10
