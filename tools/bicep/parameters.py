"""Parameters files: `.bicepparam`."""

from collections.abc import Mapping
from pathlib import Path

from tools.bicep.errors import BicepError, Place
from tools.bicep.evaluate import evaluate
from tools.bicep.file_world import FileWorld
from tools.bicep.reader import read
from tools.bicep.statements import Assignment
from tools.bicep.values import Function, Scope, Value


def parameters(path: Path, environment: Mapping[str, str]) -> tuple[Path, dict[str, Value]]:
    """The file that a parameters file is for, and the values that it gives.

    :param environment: the environment variables that it may read

    :raises BicepError: it cannot be read, or wants a variable that is not there and has no default
    """
    source = read(path)
    if source.using is None:
        raise BicepError(Place(path, 1), "it does not say which file it is for (using '…')")
    world = _ParametersWorld(source, Scope("parameters"), {}, environment)
    return path.parent / source.using, {
        name: evaluate(each.value, world.frame) for name, each in source.of(Assignment).items()
    }


class _ParametersWorld(FileWorld):
    def __init__(self, *arguments: Value) -> None:
        *others, self._environment = arguments
        super().__init__(*others)

    def function(self, name: str) -> Function | None:
        return self._variable if name == "readEnvironmentVariable" else super().function(name)

    def _variable(self, name: str, default: str | None = None) -> str:
        found: str | None = self._environment.get(name, default)
        if found is None:
            raise BicepError(
                Place(self.source.path, 1), f"the environment variable {name} is not set, and has no default"
            )
        return found

    def other(self, name: str, place: Place) -> Value:
        assigned = self.source.of(Assignment).get(name)
        return super().other(name, place) if assigned is None else evaluate(assigned.value, self.frame)
