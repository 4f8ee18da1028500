"""The policy set-header, on requests and answers; several in a row on an answer are one step.

https://learn.microsoft.com/azure/api-management/set-header-policy
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

from local.host.gateway.compiling import EVERYWHERE, Place, Section, Value, constant, one_of, policy, value_of
from local.host.gateway.context import Context, Step
from local.host.gateway.document import Element, refuse

_ACTIONS: Final = {"override": "override", "skip": "skip", "append": "append", "delete": "delete"}
_UNTOUCHABLE: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """A header to be set.

    :param name: in lower case
    """

    name: str
    action: str
    values: tuple[Value, ...]


def _rule(element: Element, place: Place) -> HeaderRule:
    name = constant(element, "name", place).lower()
    if name in _UNTOUCHABLE:
        refuse(element, f"{name} cannot be set")
    action = one_of(element, "exists-action", place, _ACTIONS, "override")
    values = tuple(value_of(child.text, child, place) for child in element.texts("value"))
    if bool(values) == (action == "delete"):
        refuse(element, "<set-header> has values, unless it deletes")
    return HeaderRule(name, action, values)


@policy("set-header", sections=EVERYWHERE, required=("name",), optional=("exists-action",), children=("value",))
def _set_header(element: Element, place: Place) -> Step:
    rule = _rule(element, place)
    if place.section in {Section.INBOUND, Section.BACKEND}:
        return RequestHeaders([rule])
    return ResponseHeaders([rule])


class RequestHeaders:
    """A step that sets headers of the request, in the order of its rules."""

    def __init__(self, rules: Sequence[HeaderRule]) -> None:
        self.rules = list(rules)
        self._plain = [(rule.name, rule.values[0].get) for rule in rules if _is_plain(rule)]
        self._deleted = [rule.name for rule in rules if rule.action == "delete"]
        self._others = [rule for rule in rules if rule.action != "delete" and not _is_plain(rule)]

    def __call__(self, context: Context) -> Awaitable[None] | None:
        """Set them."""
        headers = context.request.headers
        for name, get in self._plain:
            headers[name] = get(context)
        for name in self._deleted:
            if name in headers:
                del headers[name]
        for rule in self._others:
            if rule.action == "skip" and rule.name in headers:
                continue
            before = [headers[rule.name]] if rule.action == "append" and rule.name in headers else []
            headers[rule.name] = ",".join([*before, *(str(value.get(context)) for value in rule.values)])
        return None


def _is_plain(rule: HeaderRule) -> bool:
    return rule.action == "override" and len(rule.values) == 1


class ResponseHeaders:
    """A step that sets headers of the answer, in the order of its rules."""

    def __init__(self, rules: Sequence[HeaderRule]) -> None:
        self.rules = list(rules)
        removed = [rule for rule in rules if rule.action in {"override", "delete"}]
        self._removed = frozenset(rule.name.encode("latin-1") for rule in removed)
        self._skipped = frozenset(rule.name.encode("latin-1") for rule in rules if rule.action == "skip")
        self._looked_for = self._removed | self._skipped
        added = [rule for rule in rules if rule.action != "delete"]
        self._constant = tuple(
            (rule.name.encode("latin-1"), value.constant.encode("latin-1"))
            for rule in added if rule.action != "skip"
            for value in rule.values if value.constant is not None
        )  # fmt: skip
        self._computed = tuple(
            (rule.name.encode("latin-1"), value.get)
            for rule in added if rule.action != "skip"
            for value in rule.values if value.constant is None
        )  # fmt: skip
        self._defaults = tuple((rule.name.encode("latin-1"), rule.values) for rule in added if rule.action == "skip")

    def __call__(self, context: Context) -> Awaitable[None] | None:
        """Set them."""
        found = context.headers
        # Most answers carry none of them: to look costs less than to copy.
        there = {name for name, _ in found} & self._looked_for
        if there:
            removed = self._removed
            found = context.headers = [header for header in found if header[0] not in removed]
        found.extend(self._constant)
        for name, get in self._computed:
            found.append((name, str(get(context)).encode("latin-1")))
        for name, values in self._defaults:
            if name not in there:
                found.extend((name, str(value.get(context)).encode("latin-1")) for value in values)
        return None


def response_headers(elements: Sequence[Element], place: Place) -> ResponseHeaders:
    """The headers of a new answer."""
    rules = [_rule(element, place) for element in elements]
    if any(rule.action != "override" for rule in rules):
        refuse(elements[0], "a new answer has no headers to keep: every exists-action is override")
    return ResponseHeaders(rules)


def fused(steps: Sequence[Step]) -> list[Step]:
    """The same steps, neighbours that set headers made one, as far as that comes to the same."""
    found: list[Step] = []
    for step in steps:
        last = found[-1] if found else None
        for kind in (RequestHeaders, ResponseHeaders):
            if isinstance(step, kind) and isinstance(last, kind) and _independent(last.rules, step.rules):
                found[-1] = kind([*last.rules, *step.rules])
                break
        else:
            found.append(step)
    return found


def _independent(some: Sequence[HeaderRule], others: Sequence[HeaderRule]) -> bool:
    """Whether the order of these does not matter: they name different headers, and none looks at another."""
    named = {rule.name for rule in some}
    computed = any(value.constant is None for rule in others for value in rule.values)
    return named.isdisjoint(rule.name for rule in others) and not computed
