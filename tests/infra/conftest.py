"""What the checks look at, made once: evaluated deployments, and the functions of each service."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.infra.world import VARIANTS, Function, Infra, Planned, Seen, functions

type Break = Callable[..., Infra]


@pytest.fixture(scope="session")
def infra() -> Infra:
    return Infra()


@pytest.fixture(scope="session")
def code() -> dict[str, list[Function]]:
    return functions()


@cache
def _planned(variant: str) -> Planned:
    return Infra().planned(variant)


@pytest.fixture(scope="session", params=VARIANTS)
def plan(request: pytest.FixtureRequest) -> Planned:
    """Each variant in turn."""
    return _planned(request.param)


@pytest.fixture(scope="session")
def dev() -> Planned:
    return _planned("dev")


@pytest.fixture(scope="session")
def prod() -> Planned:
    return _planned("prod")


@pytest.fixture(scope="session")
def seen(plan: Planned, infra: Infra, code: dict[str, list[Function]]) -> Seen:
    """Each variant in turn, beside the code."""
    return Seen(plan, infra, code)


@pytest.fixture(scope="session")
def seen_of(code: dict[str, list[Function]]) -> Callable[[Infra], Seen]:
    """What a folder like `infra/` would make of prod, beside the code."""
    return lambda infra: Seen(infra.planned("prod"), infra, code)


@pytest.fixture
def broken(tmp_path: Path, infra: Infra) -> Break:
    """A copy of `infra/` with a text in one file in place of another, which must be there."""

    def broken(file: str, old: str, new: str, *, times: int = 1) -> Infra:
        copy = tmp_path / "infra"
        if not copy.exists():
            shutil.copytree(infra.folder, copy)
        text = (copy / file).read_text()
        assert old in text, f"{file} has no {old!r}, so this test breaks nothing"
        (copy / file).write_text(text.replace(old, new, times))
        return Infra(copy)

    return broken
