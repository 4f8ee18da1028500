"""Decorators: which there are, on what, and what they take."""

from collections.abc import Iterator
from typing import Final

from tools.bicep.errors import Finding
from tools.bicep.statements import (
    Declaration,
    Function,
    Module,
    Output,
    Parameter,
    Resource,
    TypeDeclaration,
    Variable,
)  # fmt: skip
from tools.bicep.syntax import Call, For, Literal

_TYPED: Final = frozenset({Parameter, Output, TypeDeclaration})
_EVERYTHING: Final = frozenset({*_TYPED, Variable, Function, Resource, Module})
# https://learn.microsoft.com/azure/azure-resource-manager/bicep/file#decorators: what each may stand before. Those of
# properties within a type are read with the type.
_ON: Final[dict[str, frozenset[type[Declaration]]]] = {
    "allowed": frozenset({Parameter}),
    "batchSize": frozenset({Resource, Module}),
    "description": _EVERYTHING,
    "discriminator": _TYPED,
    "export": frozenset({TypeDeclaration, Variable, Function}),
    "maxLength": _TYPED,
    "maxValue": _TYPED,
    "metadata": _TYPED,
    "minLength": _TYPED,
    "minValue": _TYPED,
    "sealed": _TYPED,
    "secure": _TYPED,
}


def misplaced(declaration: Declaration) -> Iterator[Finding]:
    """Decorators of a declaration that the compiler would refuse."""
    for call in declaration.decorators:
        if call.function not in _ON:
            yield Finding(call.place, f"decorator '{call.function}' is not defined")
        elif type(declaration) not in _ON[call.function]:
            yield Finding(call.place, f"@{call.function}() does not stand before '{declaration.name}'")
        elif call.function == "batchSize":
            yield from _batch(declaration, call)


def _batch(declaration: Declaration, call: Call) -> Iterator[Finding]:
    size = batch_size(declaration)
    if size is None or size < 1:
        yield Finding(call.place, "BCP154: @batchSize() takes a number of at least 1")
    if isinstance(declaration, Resource | Module) and not isinstance(declaration.body, For):
        yield Finding(call.place, f"BCP155: '{declaration.name}' is no loop, so it has no batches")


def batch_size(declaration: Declaration) -> int | None:
    """How many of a loop are made at once; None where nothing says so."""
    call = declaration.decorated("batchSize")
    if call is None or len(call.arguments) != 1:
        return None
    (argument,) = call.arguments
    return argument.value if isinstance(argument, Literal) and type(argument.value) is int else None
