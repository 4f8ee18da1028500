"""Which tests run in one process, one after the other, when pytest-xdist shares them out among several.

Those of a module that has fixtures of its own for all its tests: a whole Tessera, often, which would be started by each
process otherwise. And those of one `xdist_group`. `--dist loadgroup` does that by itself with pytest up to 9.1; from
9.2 on an item's id cannot be given the suffix by which pytest-xdist 3.8 knows groups, and it silently shares out all
tests one by one.
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
    return {EVERY_OTHER: path, **named} if _shares(module) else named


def _groups(mark: ast.expr) -> Iterator[str]:
    for call in ast.walk(mark):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.xdist_group":
            yield ast.literal_eval(call.args[0])


def _shares(module: ast.Module) -> bool:
    """Whether it has a fixture that lives as long as the module."""
    return any(
        keyword.arg == "scope" and ast.unparse(keyword.value) == "'module'"
        for each in module.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in each.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("fixture")
        for keyword in decorator.keywords
    )
