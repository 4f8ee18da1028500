"""Expressions of Azure Pipelines' conditions: known functions, each with as many arguments as it takes.

https://learn.microsoft.com/azure/devops/pipelines/process/expressions
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

ANY: Final = 99
ARITY: Final = {  # name in lower case → least and most arguments
    "and": (2, ANY), "or": (2, ANY), "not": (1, 1), "xor": (2, 2), "eq": (2, 2), "ne": (2, 2), "gt": (2, 2),
    "ge": (2, 2), "lt": (2, 2), "le": (2, 2), "in": (2, ANY), "notin": (2, ANY), "contains": (2, 2),
    "containsvalue": (2, 2), "startswith": (2, 2), "endswith": (2, 2), "coalesce": (2, ANY), "format": (1, ANY),
    "join": (2, 2), "length": (1, 1), "lower": (1, 1), "upper": (1, 1), "replace": (3, 3), "split": (2, 2),
    "trim": (1, 1), "counter": (0, 2), "converttojson": (1, 1), "always": (0, 0), "canceled": (0, 0),
    "failed": (0, ANY), "succeeded": (0, ANY), "succeededorfailed": (0, ANY), "iif": (3, 3),
}  # fmt: skip
CONTEXTS: Final = frozenset({"variables", "parameters", "dependencies", "stagedependencies", "pipeline", "resources"})
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)*)|(?P<name>[A-Za-z_][\w.\-]*)|(?P<sign>[(),\[\]]))"
)


class ExpressionRefused(Exception):
    """Not an expression, or with something in it that there is not."""


@dataclass(frozen=True)
class Use:
    """A function that is called, with the texts among its arguments."""

    name: str
    texts: tuple[str, ...]


def used(text: str) -> list[Use]:
    """The functions an expression calls, from the outermost inwards.

    :raises ExpressionRefused: it is none
    """
    tokens = list(_tokens(text))
    found: list[Use] = []
    rest = _value(tokens, found)
    if rest:
        raise ExpressionRefused(f"{text!r} goes on after its end")
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionRefused(f"{text!r} has {text[at:]!r}")
        assert match.lastgroup is not None
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


type Tokens = Sequence[tuple[str, str]]


def _value(tokens: Tokens, found: list[Use]) -> Tokens:
    if not tokens:
        raise ExpressionRefused("it ends too early")
    (kind, text), rest = tokens[0], tokens[1:]
    if kind in {"text", "number"} or text.lower() in {"true", "false", "null"}:
        return rest
    if kind == "sign":
        raise ExpressionRefused(f"{text!r} where a value should be")
    if rest and rest[0][1] == "(":
        return _call(text, rest[1:], found)
    return _reference(text, rest)


def _call(name: str, tokens: Tokens, found: list[Use]) -> Tokens:
    if name.lower() not in ARITY:
        raise ExpressionRefused(f"there is no function {name}")
    place = len(found)
    found.append(Use(name, ()))
    number, texts = 0, []
    while not tokens or tokens[0][1] != ")":
        if tokens and tokens[0][0] == "text":
            texts.append(tokens[0][1].strip("'"))
        tokens = _value(tokens, found)
        number += 1
        if tokens and tokens[0][1] == ",":
            tokens = tokens[1:]
        elif not tokens or tokens[0][1] != ")":
            raise ExpressionRefused(f"{name}(… is not closed")
    least, most = ARITY[name.lower()]
    if not least <= number <= most:
        raise ExpressionRefused(f"{name} takes {least}{'' if least == most else ' or more'} arguments, not {number}")
    found[place] = Use(name, tuple(texts))
    return tokens[1:]


def _reference(name: str, rest: Tokens) -> Tokens:
    context = name.split(".", maxsplit=1)[0].lower()
    if context not in CONTEXTS:
        raise ExpressionRefused(f"{name} is neither a function nor known")
    while rest and rest[0][1] == "[":
        if len(rest) < 3 or rest[1][0] != "text" or rest[2][1] != "]":
            raise ExpressionRefused(f"{name}[… is not closed")
        rest = rest[3:]
    return rest
