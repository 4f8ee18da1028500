"""What the compiler and its linter would warn of, as far as that can be seen without the types of resources.

Each finding begins with the name of the linter's rule (https://learn.microsoft.com/azure/azure-resource-manager/bicep/linter),
or with the number of the compiler's diagnostic.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.bicep.errors import BicepError, Finding
from tools.bicep.names import within
from tools.bicep.reader import read
from tools.bicep.statements import Module, Output, Parameter, Resource, Source, Variable
from tools.bicep.syntax import (
    Array,
    Call,
    Expression,
    If,
    Index,
    Interpolated,
    Literal,
    Member,
    Name,
    Node,
    Object,
    Property,
)  # fmt: skip

_BARE: Final = re.compile(r"[A-Za-z_]\w*")
# Other clouds have other ones: environment() knows them.
_CLOUDS: Final = re.compile(
    r"(?<!schema\.)\b(management\.azure\.com|login\.microsoftonline\.com|vault\.azure\.net|core\.windows\.net|"
    r"database\.windows\.net|graph\.windows\.net|gallery\.azure\.com|trafficmanager\.net|azuredatalakestore\.net|"
    r"api\.loganalytics\.io)\b"
)
_MAYBE_NULL: Final = frozenset({"first", "last", "tryGet"})


def warnings(path: Path) -> list[Finding]:
    """What somebody would be warned of; what cannot be read at all is refused elsewhere."""
    try:
        source = read(path)
    except BicepError:
        return []
    return sorted(
        Finding(node.place, problem)
        for declaration in source.declarations
        for node in (declaration, *within(declaration))
        for rule in _RULES
        for problem in rule(node, source)
    )


def _texts(node: Node, source: Source) -> Iterator[str]:
    """A value is seen where it is used; a key that is computed has to be interpolated."""
    values = [each for name, each in vars(node).items() if name != "key"]
    for each in (one for value in values for one in (value if isinstance(value, tuple) else (value,))):
        if isinstance(each, Interpolated) and len(each.parts) == 1 and not isinstance(each.parts[0], str):
            yield "simplify-interpolation: a text that is nothing but an interpolation; string() where it is no text"
    text = node.value if isinstance(node, Literal) else ""
    if isinstance(node, Interpolated):
        text = "".join(each for each in node.parts if isinstance(each, str))
    found = _CLOUDS.search(text) if isinstance(text, str) else None
    if found and source.using is None:
        yield f"no-hardcoded-env-urls: {found[0]} is of one cloud"


def _properties(node: Node, source: Source) -> Iterator[str]:
    key = node.key.value if isinstance(node, Property) and node.quoted and isinstance(node.key, Literal) else ""
    if _BARE.fullmatch(str(key)):
        yield f"prefer-unquoted-property-names: '{key}' needs no quotes"


def _declarations(node: Node, source: Source) -> Iterator[str]:
    if isinstance(node, Output):
        listed = any(isinstance(each, Call) and _hands_out(each) for each in within(node))
        if listed or "password" in node.name.lower():
            yield f"outputs-should-not-contain-secrets: '{node.name}'"
    if isinstance(node, Parameter) and node.decorated("secure") and getattr(node.default, "value", None):
        yield f"secure-parameter-default: '{node.name}' is secure and has a default"
    if isinstance(node, Variable | Output | Resource | Module):
        for each in within(node):
            if isinstance(each, Member) and each.name == "location" and _is_group(each.of):
                yield f"no-loc-expr-outside-params: '{node.name}' asks for the group's location"


def _calls(node: Node, source: Source) -> Iterator[str]:
    if not isinstance(node, Call):
        return
    if node.function == "json" and [getattr(each, "value", None) for each in node.arguments] == ["null"]:
        yield "simplify-json-null: json('null') is null"
    if node.function == "concat" and any(isinstance(each, Literal | Interpolated) for each in node.arguments):
        yield "prefer-interpolation: concat() of texts"


def _hands_out(call: Call) -> bool:
    return call.of is not None and call.function.startswith("list")


def _is_group(of: Expression) -> bool:
    return isinstance(of, Call) and of.function in {"resourceGroup", "deployment"}


def _accesses(node: Node, source: Source) -> Iterator[str]:
    """What may be null is asked, or asked with: `!` says that it is not, `.?` that it may."""
    if not isinstance(node, Member | Index):
        return
    if isinstance(node, Index) and _may_be_null(node.index):
        yield "BCP074: an index that may be null"
    if node.safe:
        return
    if _may_be_null(node.of):
        yield "BCP318: what first(), last() or tryGet() gives may be null"
    if (
        isinstance(node.of, Name)
        and isinstance(node, Member)
        and node.name != "id"
        and _is_conditional(node.of, source)
    ):
        yield f"BCP318: '{node.of.name}' is not always deployed"


def _may_be_null(node: Expression) -> bool:
    return isinstance(node, Call) and node.function in _MAYBE_NULL


def _is_conditional(name: Name, source: Source) -> bool:
    found = source.of(Module).get(name.name) or source.of(Resource).get(name.name)
    return found is not None and isinstance(found.body, If)


def _deployed(node: Node, source: Source) -> Iterator[str]:
    if not isinstance(node, Resource | Module):
        return
    body = next(each for each in (node.body, *within(node.body)) if isinstance(each, Object))
    for each in body.properties:
        if not isinstance(each, Property) or not isinstance(each.key, Literal):
            continue
        if each.key.value == "name" and isinstance(node, Resource) and _has_slash(each.value):
            yield f"use-parent-property: '{node.name}' is named with its parent"
        if each.key.value == "dependsOn" and isinstance(each.value, Array):
            known = set(_symbols(node.body, body))
            for one in each.value.items:
                if isinstance(one, Name) and one.name in known:
                    yield f"no-unnecessary-dependson: '{node.name}' refers to '{one.name}' anyway"


def _has_slash(name: Expression) -> bool:
    parts = name.parts if isinstance(name, Interpolated) else (getattr(name, "value", ""),)
    return any("/" in part for part in parts if isinstance(part, str))


def _symbols(whole: Expression, body: Object) -> Iterator[str]:
    """The names that a resource refers to, but for its own `dependsOn`."""
    kept = [each for each in body.properties if not (isinstance(each, Property) and _is(each, "dependsOn"))]
    heads = [each for each in (getattr(whole, "source", None), getattr(whole, "condition", None)) if each is not None]
    for node in (*kept, *heads):
        yield from (each.name for each in (node, *within(node)) if isinstance(each, Name))


def _is(each: Property, name: str) -> bool:
    return isinstance(each.key, Literal) and each.key.value == name


_RULES: Final = (_texts, _properties, _declarations, _calls, _accesses, _deployed)
