"""What can be said of a file without values: names that nothing declares, declarations that nothing uses."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from tools.bicep.builtins import KNOWN
from tools.bicep.decorators import misplaced
from tools.bicep.errors import BicepError, Finding, Place
from tools.bicep.reader import read
from tools.bicep.statements import (
    Declaration,
    Function,
    Module,
    Output,
    Parameter,
    Resource,
    Source,
    TypeDeclaration,
    Variable,
)  # fmt: skip
from tools.bicep.syntax import Call, For, Index, Lambda, Literal, Member, Name, Node, Object, Property, Spread, Unary
from tools.bicep.type_check import PRIMITIVES
from tools.bicep.type_syntax import NamedType

_NAMESPACES: Final = frozenset({"az", "sys"})
_TYPES: Final = frozenset({*PRIMITIVES, "any"})
_KINDS: Final = {
    Parameter: "parameter",
    Variable: "variable",
    TypeDeclaration: "type",
    Function: "function",
    Resource: "existing resource",
}


def findings(path: Path) -> list[Finding]:
    """What is wrong with a file, whatever its parameters are: its syntax first, and if that is good, its names."""
    try:
        return sorted(_findings(read(path)))
    except BicepError as refused:
        return [Finding.of(refused)]


def _findings(source: Source) -> Iterator[Finding]:
    imported = {local: each for each in source.imports for _, local in each.names}
    declared = {each.name: each for each in source.declarations if not isinstance(each, Output)}
    nested = {inner.name for each in source.declarations for inner in within(each) if isinstance(inner, Resource)}
    known = {**_BUILT_IN, "function": KNOWN | ({"readEnvironmentVariable"} if source.using else set())}
    used: set[str] = set()
    nodes: list[Node] = [*source.declarations, *(expression for _, expression in source.asserts)]
    for node in nodes:
        for place, name, kind in _free(node, frozenset()):
            used.add(name)
            if name in imported or name in declared or name in nested or name in known[kind]:
                continue
            yield Finding(place, f"{kind} '{name}' is not defined")
    for name, each in imported.items():
        if name not in used:
            yield Finding(each.place, f"import '{name}' is not used")
    for name, declaration in declared.items():
        if name not in used and _must_be_used(declaration, source):
            yield Finding(declaration.place, f"{_KINDS[type(declaration)]} '{name}' is not used")
    yield from _imports(source)
    for node in (one for each in source.declarations for one in (each, *within(each))):
        yield from misplaced(node) if isinstance(node, Declaration) else ()
    for module in source.of(Module).values():
        yield from _module(module, source)


_BUILT_IN: Final = {"name": _NAMESPACES, "function": KNOWN, "type": _TYPES}


def _must_be_used(declaration: Declaration, source: Source) -> bool:
    if source.using is not None or declaration.decorated("export"):
        return False
    return type(declaration) in _KINDS and (not isinstance(declaration, Resource) or declaration.existing)


def _children(node: Node) -> Iterator[Node]:
    """What a node consists of; decorators are no part of it."""
    for each in fields(node):
        value = getattr(node, each.name)
        if isinstance(value, Node) and each.name != "decorators":
            yield value
        elif isinstance(value, tuple) and each.name != "decorators":
            flat = (item for one in value for item in (one if isinstance(one, tuple) else (one,)))
            yield from (item for item in flat if isinstance(item, Node))


def within(node: Node) -> Iterator[Node]:
    """Everything that a node consists of, however deep; decorators are no part of it."""
    for child in _children(node):
        yield child
        yield from within(child)


def _free(node: Node, bound: frozenset[str]) -> Iterator[tuple[Place, str, str]]:
    """The names in a node that are not bound by its own loops, lambdas and parameters, with what they name."""
    match node:
        case Name(name=name):
            if name not in bound:
                yield node.place, name, "name"
        case NamedType(path=(name, *_)):
            yield node.place, name, "type"
        case Call(of=None, function=name):
            yield node.place, name, "function"
        case Call(of=Name(name=namespace), function=name) if namespace in _NAMESPACES and namespace not in bound:
            if name not in KNOWN:
                yield node.place, name, "function"
    inner = bound | _bound_by(node)
    for child in _children(node):
        outside = isinstance(node, For) and child is node.source
        yield from _free(child, bound if outside else inner)


def _bound_by(node: Node) -> frozenset[str]:
    match node:
        case For(item=item, index=index):
            return frozenset({item} if index is None else {item, index})
        case Lambda(parameters=names):
            return frozenset(names)
        case Function(parameters=parameters):
            return frozenset(name for name, _ in parameters)
    return frozenset()


def _imports(source: Source) -> Iterator[Finding]:
    for each in source.imports:
        exported = {one.name for one in read(source.path.parent / each.path).declarations if one.decorated("export")}
        for original, _ in each.names:
            if original != "*" and original not in exported:
                yield Finding(each.place, f"{each.path} exports no '{original}'")


def _module(module: Module, source: Source) -> Iterator[Finding]:
    try:
        target = read(source.path.parent / module.path)
    except BicepError as refused:
        yield Finding(module.place, f"module '{module.name}': {refused}")
        return
    outputs = target.of(Output)
    for name, member in _asked_of(module, source):
        if name not in outputs:
            yield Finding(member.place, f"{module.path} has no output '{name}'")
    given = _parameters(module)
    if given is None:
        return
    known = target.of(Parameter)
    for name in sorted(given - known.keys()):
        yield Finding(module.place, f"{module.path} has no parameter '{name}'")


def _asked_of(module: Module, source: Source) -> Iterator[tuple[str, Member]]:
    """The outputs of a module that a file asks for."""
    for each in source.declarations:
        for node in within(each):
            if isinstance(node, Member) and isinstance(node.of, Member) and node.of.name == "outputs":
                of: Node = node.of.of
                while isinstance(of, Index | Unary):
                    of = of.of if isinstance(of, Index) else of.operand
                if isinstance(of, Name) and of.name == module.name:
                    yield node.name, node


def _parameters(module: Module) -> set[str] | None:
    """The names of the parameters that a module is given; None if they are not all written out."""
    body = next((node for node in [module.body, *within(module.body)] if isinstance(node, Object)), None)
    inside = body.properties if body else ()
    found = [each.value for each in inside if isinstance(each, Property) and _key(each) == "params"]
    if not found:
        return set()
    (written,) = found
    if not isinstance(written, Object) or any(isinstance(one, Spread) for one in written.properties):
        return None
    return {_key(one) for one in written.properties if isinstance(one, Property)}


def _key(each: Property) -> str:
    return str(each.key.value) if isinstance(each.key, Literal) else ""
