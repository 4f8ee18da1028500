"""What the checks look at, made once: evaluated deployments, and the functions of each service."""

import shutil
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="session")
def _copy(tmp_path_factory: pytest.TempPathFactory, infra: Infra) -> Path:
    """One folder for all that is broken: the files that a test leaves alone are read once."""
    return Path(shutil.copytree(infra.folder, tmp_path_factory.mktemp("broken") / "infra"))


@pytest.fixture
def broken(_copy: Path) -> Iterator[Break]:
    """A copy of `infra/` with a text in one file in place of another, which must be there; whole again afterwards."""
    whole: dict[Path, str] = {}

    def broken(file: str, old: str, new: str) -> Infra:
        path = _copy / file
        whole[path] = path.read_text()
        assert old in whole[path], f"{file} has no {old!r}, so this test breaks nothing"
        path.write_text(whole[path].replace(old, new, 1))
        return Infra(_copy)

    yield broken
    for path, text in whole.items():
        path.write_text(text)
