"""A file's symbols, each evaluated when it is first asked for."""

from functools import cached_property
from pathlib import Path
from typing import Final

from tools.bicep.errors import BicepError, Place
from tools.bicep.evaluate import Frame, evaluate
from tools.bicep.reaching import Namespace
from tools.bicep.reader import read
from tools.bicep.statements import Function as FunctionDeclaration
from tools.bicep.statements import Parameter, Source, Variable
from tools.bicep.type_check import Types, problems, types_of
from tools.bicep.type_syntax import NullableType, Type
from tools.bicep.values import Function, Scope, Value

_UNDER_WAY: Final = object()


class FileWorld:
    """The symbols of one file: what it imports, its variables, parameters and functions.

    :param arguments: the parameters' values; those that are missing have their defaults
    """

    def __init__(self, source: Source, scope: Scope, arguments: dict[str, Value]) -> None:
        self.source = source
        self.scope = scope
        self._arguments = arguments
        self._known: dict[str, Value] = {}
        self._variables = source.of(Variable)
        self._parameters = source.of(Parameter)
        self._functions = source.of(FunctionDeclaration)

    @property
    def folder(self) -> Path:
        return self.source.path.parent

    @property
    def frame(self) -> Frame:
        """Where the file's own expressions are evaluated."""
        return Frame(self, {})

    def lookup(self, name: str, place: Place) -> Value:
        """The value of a symbol.

        :raises BicepError: there is none, or it needs itself
        """
        if self._known.get(name) is _UNDER_WAY:
            raise BicepError(place, f"'{name}' needs its own value")
        if name not in self._known:
            self._known[name] = _UNDER_WAY
            try:
                self._known[name] = self._evaluated(name, place)
            except BicepError:
                del self._known[name]
                raise
        return self._known[name]

    def _evaluated(self, name: str, place: Place) -> Value:
        if name in self._variables:
            return evaluate(self._variables[name].value, self.frame)
        if name in self._parameters:
            return self._parameter(self._parameters[name])
        if name in self._imports:
            original, world = self._imports[name]
            return world.lookup(original, place)
        if name in self._namespaces:
            world = self._namespaces[name]
            return Namespace(_Lazily(world), {each: world.bound(each) for each in world.source.of(FunctionDeclaration)})
        return self.other(name, place)

    def other(self, name: str, place: Place) -> Value:
        """A symbol that is none of the above.

        :raises BicepError: there is none
        """
        raise BicepError(place, f"'{name}' is not defined")

    def function(self, name: str) -> Function | None:
        """A function of the file's own, or an imported one."""
        if name in self._functions:
            return self.bound(name)
        if name in self._imports:
            original, world = self._imports[name]
            return world.function(original)
        return None

    def bound(self, name: str) -> Function:
        """A function of the file's own, which looks at what it is given and what it gives."""
        declared = self._functions[name]

        def call(*arguments: Value) -> Value:
            if len(arguments) != len(declared.parameters):
                raise BicepError(
                    declared.place, f"{name} takes {len(declared.parameters)} arguments, not {len(arguments)}"
                )
            named = {one: value for (one, _), value in zip(declared.parameters, arguments, strict=True)}
            for each, kind in declared.parameters:
                self.demand(named[each], kind, declared.place, f"{name}: '{each}'")
            value = evaluate(declared.body, self.frame.having(**named))
            self.demand(value, declared.returns, declared.place, f"{name} gives what it does not say")
            return value

        return call

    def demand(self, value: Value, wanted: Type, place: Place, what: str) -> None:
        """Insist on a type.

        :raises BicepError: the value does not have it
        """
        for problem in problems(value, wanted, self.types):
            raise BicepError(place, f"{what}: {problem}")

    def _parameter(self, declared: Parameter) -> Value:
        given = self._arguments.get(declared.name)
        if given is None and declared.default is not None:
            given = evaluate(declared.default, self.frame)
        if given is None and not isinstance(declared.type, NullableType):
            raise BicepError(declared.place, f"parameter '{declared.name}' has no value")
        for problem in problems(given, declared.type, self.types, declared.decorators):
            raise BicepError(declared.place, f"parameter '{declared.name}': {problem}")
        return given

    @cached_property
    def _homes(self) -> "list[tuple[tuple[tuple[str, str], ...], FileWorld]]":
        return [(each.names, FileWorld(read(self.folder / each.path), self.scope, {})) for each in self.source.imports]

    @cached_property
    def _imports(self) -> "dict[str, tuple[str, FileWorld]]":
        return {
            local: (original, world)
            for names, world in self._homes
            for original, local in names
            if original != "*" and world.has(original)
        }

    @cached_property
    def _namespaces(self) -> "dict[str, FileWorld]":
        return {local: world for names, world in self._homes for original, local in names if original == "*"}

    @cached_property
    def types(self) -> Types:
        """The types that this file knows."""
        imported = {
            local: (original, world.types)
            for names, world in self._homes
            for original, local in names
            if original != "*"
        }
        return types_of(self.source, imported, {name: world.types for name, world in self._namespaces.items()})

    def has(self, name: str) -> bool:
        """Whether it declares a variable or function of this name."""
        return name in self._variables or name in self._functions


class _Lazily(dict[str, Value]):
    """The variables of a file, evaluated when they are asked for."""

    def __init__(self, world: FileWorld) -> None:
        super().__init__(dict.fromkeys(world.source.of(Variable)))
        self._world = world

    def __getitem__(self, name: str) -> Value:
        return self._world.lookup(name, Place(self._world.source.path, 1))
