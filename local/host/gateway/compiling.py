"""From elements to closures: what every policy needs to be compiled, and the table of those we know.

A policy's compiler checks its element whole: attributes, children, where it stands. What Microsoft documents and we do
not use is unknown here, and refused at start like a slip of the pen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from local.host.gateway.cache import ResponseCache
from local.host.gateway.configuration import NamedValues
from local.host.gateway.context import Context, Step, Test
from local.host.gateway.document import Element, refuse
from local.host.gateway.expressions import EXPRESSIONS, Getter, normal
from local.host.gateway.limiter import RateLimiter
from local.host.gateway.tokens import TokenCheck, TokenRules
from local.host.http import Front


class Section(StrEnum):
    """The sections of a policy document."""

    INBOUND = "inbound"
    BACKEND = "backend"
    OUTBOUND = "outbound"
    ON_ERROR = "on-error"


@dataclass(frozen=True, slots=True)
class Parts:
    """What compiled policies work with, one of each for a process."""

    front: Front
    named_values: NamedValues
    limiter: RateLimiter
    cache: ResponseCache
    checks: dict[TokenRules, TokenCheck]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a policy is being compiled."""

    parts: Parts
    section: Section


type Compiler = Callable[[Element, Place], Step]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy we know.

    :param sections: where it may stand
    :param required: attributes it must have
    :param optional: attributes it may have
    :param children: elements it may have
    """

    compiler: Compiler
    sections: frozenset[Section]
    required: frozenset[str]
    optional: frozenset[str]
    children: frozenset[str] | None


POLICIES: Final[dict[str, Policy]] = {}
EVERYWHERE: Final = frozenset(Section)


def policy(
    tag: str,
    *,
    sections: frozenset[Section],
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    children: Sequence[str] | None = (),
) -> Callable[[Compiler], Compiler]:
    """Register the decorated compiler.

    :param children: None where it checks them itself
    """

    def register(compiler: Compiler) -> Compiler:
        allowed = None if children is None else frozenset(children)
        POLICIES[tag] = Policy(compiler, sections, frozenset(required), frozenset(optional), allowed)
        return compiler

    return register


@dataclass(frozen=True, slots=True)
class Value:
    """A text in a policy: constant, or an expression.

    :param constant: None where it is an expression
    """

    constant: str | None
    get: Getter


def compiled(element: Element, place: Place) -> Step:
    """The closure of one policy.

    :raises StartRefused: it is not one we know, or not as we know it
    """
    known = POLICIES.get(element.tag)
    if known is None:
        refuse(element, f"the policy <{element.tag}> is not one this gateway executes")
    if place.section not in known.sections:
        refuse(element, f"<{element.tag}> cannot stand in <{place.section}>")
    check_attributes(element, known.required, known.optional)
    if known.children is not None:
        check_children(element, known.children)
    return known.compiler(element, place)


def check_attributes(
    element: Element, required: Sequence[str] | frozenset[str], optional: Sequence[str] | frozenset[str] = ()
) -> None:
    """Check the attributes of an element.

    :raises StartRefused: one is missing, or not known
    """
    for name in sorted({*required} - element.attributes.keys()):
        refuse(element, f"<{element.tag}> lacks the attribute {name}")
    for name in sorted(element.attributes.keys() - {*required, *optional}):
        refuse(element, f"<{element.tag}> has the attribute {name}, which this gateway does not execute")


def check_children(element: Element, allowed: Sequence[str] | frozenset[str]) -> None:
    """Check what an element holds.

    :raises StartRefused: an element that does not belong there, or text
    """
    for child in element.children:
        if child.tag not in allowed:
            refuse(child, f"<{child.tag}> cannot stand in <{element.tag}>")
    if element.text and element.children:
        refuse(element, f"<{element.tag}> has text beside its elements")


def value_of(text: str, element: Element, place: Place) -> Value:
    """A text that may be an expression.

    :raises StartRefused: an expression that is not in our list, or a named value that is not there
    """
    if not text.lstrip().startswith(("@(", "@{")):
        constant = place.parts.named_values.filled_in(text, element)
        return Value(constant, lambda _context: constant)
    function = EXPRESSIONS.get(normal(text))
    if function is None:
        refuse(element, f"the expression {' '.join(text.split())[:200]} is not in the list (expressions.py)")
    return Value(None, function)


def attribute(element: Element, name: str, place: Place, default: str = "") -> Value:
    """An attribute that may be an expression."""
    return value_of(element.attributes.get(name, default), element, place)


def constant(element: Element, name: str, place: Place, default: str | None = None) -> str:
    """An attribute that may not be an expression.

    :raises StartRefused: it is one, or is missing and has no default
    """
    text = element.attributes.get(name, default)
    if text is None:
        refuse(element, f"<{element.tag}> lacks the attribute {name}")
    found = value_of(text, element, place).constant
    if found is None:
        refuse(element, f"{name} cannot be an expression here")
    return found


def one_of[T](element: Element, name: str, place: Place, values: Mapping[str, T], default: str | None = None) -> T:
    """An attribute with a closed list of values.

    :raises StartRefused: it has another
    """
    found = constant(element, name, place, default)
    if found not in values:
        refuse(element, f"{name} is “{found}”; this gateway executes {', '.join(values)}")
    return values[found]


def boolean(element: Element, name: str, place: Place, default: str | None = None) -> bool:
    """`true` or `false`.

    :raises StartRefused: it is neither
    """
    return one_of(element, name, place, {"true": True, "false": False}, default)


def number(element: Element, name: str, place: Place, *, least: int, most: int, default: str | None = None) -> int:
    """A whole number.

    :raises StartRefused: it is none, or out of bounds
    """
    text = constant(element, name, place, default)
    if not text.isdecimal() or not least <= int(text) <= most:
        refuse(element, f"{name} is “{text}”; it is a whole number from {least} to {most}")
    return int(text)


def condition(element: Element, place: Place) -> Test | bool:
    """The attribute `condition`: an expression, or the constant that it is.

    :raises StartRefused: it is neither
    """
    found = attribute(element, "condition", place)
    if found.constant is None:
        return found.get
    if found.constant not in {"true", "false"}:
        refuse(element, f"condition is “{found.constant}”; it is an expression, true or false")
    return found.constant == "true"


def texts(element: Element | None, tag: str, place: Place) -> tuple[str, ...]:
    """The constant texts of an element's children of that name.

    :raises StartRefused: one is empty, or is an expression
    """
    if element is None:
        return ()
    check_children(element, [tag])
    found = []
    for child in element.texts(tag):
        given = value_of(child.text, child, place).constant
        if not given:
            refuse(child, f"<{tag}> must be a text, not an expression")
        found.append(given)
    return tuple(found)


async def run(steps: Sequence[Step], context: Context) -> None:
    """Execute steps in order; only those that must wait are waited for."""
    for step in steps:
        waiting = step(context)
        if waiting is not None:
            await waiting


def nothing(_context: Context) -> Any:
    """A policy that does nothing, as it turned out when it was compiled."""
    return None
