"""What a deployment of a Bicep file would declare: its resources, its modules' resources, its outputs."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from tools.bicep.errors import BicepError, Place
from tools.bicep.evaluate import Frame, evaluate
from tools.bicep.file_world import FileWorld
from tools.bicep.reader import read
from tools.bicep.resources import ResourceMaker, instances, property_of
from tools.bicep.statements import Declaration, Module, Output, Parameter, Resource, Source, Variable
from tools.bicep.syntax import For, Object
from tools.bicep.type_check import problems
from tools.bicep.type_syntax import NullableType
from tools.bicep.values import Declared, Scope, Value, shown

MODULES_DEEP_MAX: Final = 16


class Deployment(FileWorld):
    """One file, deployed to a scope with values of its parameters.

    :param depth: how many modules are around it
    """

    def __init__(self, source: Source, scope: Scope, arguments: dict[str, Value], depth: int = 0) -> None:
        super().__init__(source, scope, arguments)
        if depth > MODULES_DEEP_MAX:
            raise BicepError(Place(source.path, 1), f"more than {MODULES_DEEP_MAX} modules within each other")
        if source.target_scope != scope.kind:
            place = Place(source.path, 1)
            raise BicepError(place, f"it is for a {source.target_scope}, and deployed to a {scope.kind}")
        self.depth = depth
        self._maker = ResourceMaker(scope)
        self._resources = source.of(Resource)
        self._modules = source.of(Module)
        self._outputs = source.of(Output)
        self._nodes: Mapping[str, Declaration] = {**self._resources, **self._modules}

    def other(self, name: str, place: Place) -> Value:
        if name in self._resources:
            return self._maker.make(self._resources[name], self.frame)
        if name in self._modules:
            return self._called(self._modules[name])
        return super().other(name, place)

    def output(self, name: str, place: Place) -> Value:
        """One of its outputs.

        :raises BicepError: it has no such output, or one of another type
        """
        declared = self._outputs.get(name)
        if declared is None:
            raise BicepError(place, f"{self.source.path.name} has no output '{name}'")
        value = evaluate(declared.value, self.frame)
        for problem in problems(value, declared.type, self.types, declared.decorators):
            raise BicepError(declared.place, f"output '{name}': {problem}")
        return value

    @cached_property
    def outputs(self) -> dict[str, Value]:
        """All its outputs."""
        return {name: self.output(name, declared.place) for name, declared in self._outputs.items()}

    @cached_property
    def modules(self) -> "list[CalledModule]":
        """Its modules, in the order of the file, those that are not deployed among them."""
        found: list[CalledModule] = []
        for name, node in self._modules.items():
            value = self.lookup(name, node.place)
            found += value if isinstance(value, list) else [value]
        return found

    @cached_property
    def own(self) -> list[Declared]:
        """The resources that this file itself declares, those that must be there already among them."""
        for name, node in self._resources.items():
            self.lookup(name, node.place)
        for made in self._maker.made:
            if made.declared.deployed:
                made.fill()
        return [made.declared for made in self._maker.made if made.declared.deployed]

    def declared(self) -> Iterator[Declared]:
        """Every resource of this file and of its modules that would be there afterwards."""
        yield from (each for each in self.own if not each.existing)
        for module in self.modules:
            if module.deployed:
                yield from module.inner.declared()

    def everywhere(self) -> "Iterator[Deployment]":
        """This file and all modules that are deployed."""
        yield self
        for module in self.modules:
            if module.deployed:
                yield from module.inner.everywhere()

    def demand_everything(self) -> None:
        """Evaluate what nothing has asked for: parameters, variables, outputs, asserts.

        :raises BicepError: something has no value, or an assert does not hold
        """
        for deployment in self.everywhere():
            for name, declared in {**deployment.source.of(Parameter), **deployment.source.of(Variable)}.items():
                deployment.lookup(name, declared.place)
            for name, expression in deployment.source.asserts:
                if evaluate(expression, deployment.frame) is False:
                    raise BicepError(expression.place, f"assert '{name}' does not hold")
            _ = deployment.outputs

    def _called(self, node: Module) -> "CalledModule | list[CalledModule]":
        found = [
            CalledModule(self, node, body, frame, deployed)
            for body, frame, deployed in instances(node.body, self.frame)
        ]
        return found if isinstance(node.body, For) else found[0]


class CalledModule:
    """A module with its parameters, read when something of it is asked for."""

    def __init__(self, caller: Deployment, node: Module, body: Object, frame: Frame, deployed: bool) -> None:
        self._caller = caller
        self._node = node
        self._body = body
        self._frame = frame
        self.deployed = deployed

    @property
    def name(self) -> Value:
        """The name of the deployment."""
        return property_of(self._body, "name", self._frame)

    def output(self, name: str, place: Place) -> Value:
        """One of its outputs."""
        return self.inner.output(name, place)

    @cached_property
    def inner(self) -> Deployment:
        """The module's own deployment.

        :raises BicepError: there is no such file, or it takes other parameters
        """
        place = self._node.place
        if ":" in self._node.path:
            raise BicepError(place, f"'{self._node.path}' is not among these files")
        source = read(self._caller.folder / self._node.path)
        arguments = property_of(self._body, "params", self._frame) or {}
        _check(arguments, source, place)
        return Deployment(source, self._scope(), arguments, self._caller.depth + 1)

    def _scope(self) -> Scope:
        found = property_of(self._body, "scope", self._frame)
        if found is None:
            return self._caller.scope
        if isinstance(found, Declared) and found.type.lower() == "microsoft.resources/resourcegroups":
            return Scope("resourceGroup", found.name, found)
        if isinstance(found, Scope):
            return found
        raise BicepError(self._node.place, f"a module goes to a subscription or resource group, not to {shown(found)}")


def _check(arguments: dict[str, Value], source: Source, place: Place) -> None:
    known = source.of(Parameter)
    for name in arguments:
        if name not in known:
            raise BicepError(place, f"{source.path.name} has no parameter '{name}'")
    for name, declared in known.items():
        if name not in arguments and declared.default is None and not isinstance(declared.type, NullableType):
            raise BicepError(place, f"{source.path.name} needs the parameter '{name}'")


def deploy(path: Path, arguments: dict[str, Value], scope: Scope | None = None) -> Deployment:
    """A file's deployment, everything in it evaluated.

    :param scope: where it goes; what it says itself, if none is given

    :raises BicepError: it cannot be read or evaluated
    """
    source = read(path)
    name = None if source.target_scope == "subscription" else "here"
    _check(arguments, source, Place(path, 1))
    deployment = Deployment(source, scope or Scope(source.target_scope, name), arguments)
    deployment.demand_everything()
    for each in deployment.everywhere():
        _ = each.own
    return deployment
