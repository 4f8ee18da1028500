"""The values of Bicep's expressions, among them those that only Azure knows.

A `Symbol` stands for something that Azure decides: an id, a principal, an endpoint. A `Template` is a text that
contains symbols. Both print with the symbols in brackets, `https://[vault.properties.vaultUri]secrets`, and remember
which resource they are of. Everything else is as in JSON: texts, whole numbers, booleans, null, lists, dictionaries.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tools.bicep.errors import BicepError, Place

# Bicep's values have the types that its files declare, which is looked at when they are used.
type Value = Any
type Text = str | Template
type Function = Callable[..., Value]


@dataclass(frozen=True)
class Symbol:
    """What only Azure knows, as the expression that Azure will evaluate.

    :param of: the resource that has it, where it is one's; `path` leads to it from there
    """

    text: str
    of: "Declared | None" = field(default=None, repr=False)
    path: tuple[str | int, ...] = ()

    def member(self, name: str | int) -> "Symbol":
        """What it has under a name, or at an index."""
        text = f"{self.text}[{name}]" if isinstance(name, int) else f"{self.text}.{name}"
        return Symbol(text, self.of, (*self.path, name))

    @property
    def identity(self) -> str:
        """Which resource it is of, whatever that is called in its file, and what of it; else its text."""
        return " ".join((*self.of.key, *map(str, self.path))) if self.of else self.text

    def __str__(self) -> str:
        return f"[{self.text}]"


@dataclass(frozen=True)
class Template:
    """A text with symbols in it."""

    parts: tuple[str | Symbol, ...]

    @property
    def known(self) -> str:
        """What of it is known, a null character in place of each symbol."""
        return "".join(part if isinstance(part, str) else "\0" for part in self.parts)

    def __str__(self) -> str:
        return "".join(str(part) for part in self.parts)


@dataclass(frozen=True)
class Scope:
    """Where a deployment goes: a subscription, or a resource group with its name."""

    kind: str
    name: Value = None
    group: "Declared | None" = None

    def __str__(self) -> str:
        return self.kind if self.name is None else f"{self.kind} {self.name}"


@dataclass(eq=False)
class Declared:
    """A resource that a deployment would make, or one that it takes to be there (`existing`).

    :param name: the last segment of its name; `parent` has those before it
    :param scope: the deployment's, or the resource that this one extends
    :param body: all its properties but those above, once everything is evaluated
    :param written: gives one property of the body before that
    """

    type: str
    api_version: str
    name: Text
    symbol: str
    place: Place
    scope: "Scope | Declared"
    parent: "Declared | None" = None
    existing: bool = False
    deployed: bool = True
    body: dict[str, Value] = field(default_factory=dict)
    children: "dict[str, Declared | list[Declared]]" = field(default_factory=dict)
    written: Callable[[str], Value] = field(default=lambda name: None, repr=False)

    @property
    def full_name(self) -> str:
        """The names of its parents and its own, with slashes."""
        return f"{self.parent.full_name}/{self.name}" if self.parent else str(self.name)

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two resources share: type, full name and scope, without case."""
        home = self.parent or self
        within = " ".join(home.scope.key) if isinstance(home.scope, Declared) else str(home.scope)
        return self.type.lower(), self.full_name.lower(), within.lower()

    @property
    def properties(self) -> dict[str, Value]:
        """Its `properties`."""
        found: dict[str, Value] = self.body.get("properties", {})
        return found

    def at(self, *path: str | int) -> Value:
        """What it declares at a path, None if nothing."""
        return reached(self.body, *path)

    def __str__(self) -> str:
        return f"{self.type} {self.full_name}"


def reached(value: Value, *path: str | int) -> Value:
    """What is at a path of names and indices, None if nothing."""
    for step in path:
        within = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
        if step not in within:
            return None
        value = value[step]
    return value


def is_unknown(value: Value) -> bool:
    """Whether only Azure knows it."""
    return isinstance(value, Symbol | Template)


def symbols(value: Value) -> Iterable[Symbol]:
    """All symbols in a value, however deep."""
    if isinstance(value, Symbol):
        yield value
    elif isinstance(value, Template):
        yield from (part for part in value.parts if isinstance(part, Symbol))
    elif isinstance(value, dict):
        for each in value.values():
            yield from symbols(each)
    elif isinstance(value, list):
        for each in value:
            yield from symbols(each)


def text_of(parts: Iterable[Value], place: Place) -> Text:
    """Values one after the other, as `format` writes them."""
    found: list[str | Symbol] = []
    for part in parts:
        pieces = (
            part.parts if isinstance(part, Template) else (part if isinstance(part, Symbol) else _plain(part, place),)
        )
        for piece in pieces:
            if isinstance(piece, str) and found and isinstance(found[-1], str):
                found[-1] += piece
            elif piece != "":
                found.append(piece)
    if any(isinstance(piece, Symbol) for piece in found):
        return Template(tuple(found))
    return "".join(str(piece) for piece in found)


def _plain(value: Value, place: Place) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, list | dict):
        return as_json(value)
    raise BicepError(place, f"{shown(value)} cannot be written into a text")


def as_json(value: Value) -> str:
    """A value as the JSON that ARM makes of it, with symbols in brackets."""
    return json.dumps(value, separators=(",", ":"), default=str, ensure_ascii=False)


def shown(value: Value) -> str:
    """A value for a message: short, texts in quotes."""
    if isinstance(value, Symbol):
        return value.text
    if isinstance(value, Template):
        return "'" + "".join(part if isinstance(part, str) else f"${{{part.text}}}" for part in value.parts) + "'"
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, Declared):
        return value.symbol
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    return str(value)
