"""The commands in pipelines, hooks and workflows: do their targets exist, and do they take these options?"""

import re
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import typer

from local.describe import only
from local.package import ROOT
from tools.delivery.__main__ import app

DELIVERY: Final = [".venv/bin/python", "-m", "tools.delivery"]
REFUSED: Final[type[Exception]] = typer.BadParameter.__mro__[2]  # whatever a command line's parser may raise
HARMLESS: Final = frozenset({"set -euo pipefail", "set -eu"})


def commands(script: str) -> list[str]:
    """The lines of a script that do something."""
    return [line.strip() for line in script.splitlines() if line.strip() and line.strip() not in HARMLESS]


def refusals(script: str, environment: Mapping[str, str]) -> list[str]:
    """What is wrong with a script's commands.

    :param environment: what options may come from instead
    """
    return [f"{line}: {why}" for line in commands(script) if (why := _refusal(line, environment))]


def named(line: str) -> str:
    """What a command is about, e.g. `make check` or `delivery publish`; without its options."""
    words = line.split()
    return f"delivery {words[3]}" if words[:3] == DELIVERY else " ".join(words[:2])


def _refusal(line: str, environment: Mapping[str, str]) -> str:
    words = shlex.split(line)
    if words[0] == "make":
        return "" if words[1:] and set(words[1:]) <= targets() else f"the Makefile has no {' '.join(words[1:])}"
    if words[:3] == DELIVERY:
        return _refused_by_delivery(words[3:], environment)
    return "is no command we know"


def _refused_by_delivery(words: list[str], environment: Mapping[str, str]) -> str:
    group: Any = typer.main.get_command(app)
    command = group.get_command(None, words[0]) if words else None
    if command is None:
        return f"tools.delivery has no command {' '.join(words[:1])}"
    with only(environment):
        try:
            command.make_context(words[0], words[1:])
        except REFUSED as error:
            return str(error)
    return ""


@cache
def targets() -> frozenset[str]:
    """What `make` can be asked for."""
    return frozenset(re.findall(r"^([a-z][a-z-]*):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
