"""Which tests run in one process, one after the other, when pytest-xdist shares them out among several.

Those of a module that has fixtures of its own for all its tests, or whose folder has such for each module: a whole
Tessera, often, which would be started by each process otherwise. Those of a folder that has fixtures for all its
modules, whatever group they name: it would be started once a group. And those of one `xdist_group`. `--dist loadgroup`
does that by itself with pytest up to 9.1; from 9.2 on an item's id cannot be given the suffix by which pytest-xdist 3.8
knows groups, and it silently shares out all tests one by one.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

EVERY_OTHER: Final = ""


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each group to one process; the largest first, so that no process has a long one left at the end."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid, self.config.rootpath)


def scheduler(config: pytest.Config, log: object) -> Together | None:
    """What shares out tests where `--dist loadgroup` is asked for."""
    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None


def group_of(nodeid: str, root: Path) -> str:
    """The name of the group that a test belongs to; the test itself where it belongs to none.

    :param nodeid: `path::function[case]`, the path from `root` on
    """
    path, _, name = nodeid.partition("::")
    groups = groups_in(root, path)
    return groups.get(name.partition("[")[0]) or groups.get(EVERY_OTHER) or nodeid


@cache
def groups_in(root: Path, path: str) -> Mapping[str, str]:
    """Function → its group, in a module of tests; under `EVERY_OTHER` that of all others."""
    if folder := _sharing_folder(root, path):
        return {EVERY_OTHER: folder}
    module = ast.parse((root / path).read_text())
    named = {
        each.name: name
        for each in module.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in each.decorator_list
        for name in _groups(decorator)
    }
    for each in module.body:
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "pytestmark":
            named |= {function: name for name in _groups(each.value) for function in [EVERY_OTHER]}
    shares = {"module", "package"} & _scopes(module) or "module" in _scopes_in((root / path).parent)
    return {EVERY_OTHER: path, **named} if shares else named


def _groups(mark: ast.expr) -> Iterator[str]:
    for call in ast.walk(mark):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.xdist_group":
            yield ast.literal_eval(call.args[0])


def _sharing_folder(root: Path, path: str) -> str:
    """The outermost folder above a module that has fixtures for all its modules; empty: there is none."""
    above = [each.as_posix() for each in Path(path).parents if "package" in _scopes_in(root / each)]
    return above[-1] if above else ""


def _scopes_in(folder: Path) -> set[str]:
    """How long the fixtures of a folder live."""
    fixtures = folder / "conftest.py"
    return _scopes(ast.parse(fixtures.read_text())) if fixtures.exists() else set()


def _scopes(module: ast.Module) -> set[str]:
    """How long its fixtures live, where that is said."""
    return {
        ast.literal_eval(keyword.value)
        for each in module.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in each.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("fixture")
        for keyword in decorator.keywords
        if keyword.arg == "scope"
    }
