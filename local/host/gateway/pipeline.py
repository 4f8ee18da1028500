"""A chain of policy documents, from the global one to the operation's, compiled to four lists of closures.

`<base />` is where the policies of the scope around stand. A section without it would leave them out, which
Azure takes for what was meant: here it is refused, as none may go without correlation id, proof or security headers.
https://learn.microsoft.com/azure/api-management/api-management-howto-policies
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from local.host.gateway.compiling import Parts, Place, Section, check_attributes, check_children, run
from local.host.gateway.context import Answered, ClientGone, Context, FromCache, ProxyError, Step
from local.host.gateway.document import Element, refuse
from local.host.gateway.flow import sequence
from local.host.problems import problem

log = logging.getLogger("local.host.gateway")

_BASE: Final = "base"
_ONCE: Final = frozenset({"cors", "cache-lookup", "cache-store"})


class Pipeline:
    """What happens to the requests of an operation.

    :param documents: policy documents, from the outermost scope in
    :raises StartRefused: one of them cannot be executed here
    """

    def __init__(self, documents: Sequence[Element], parts: Parts) -> None:
        inbound, backend, outbound, on_error = (_compiled(documents, section, parts) for section in Section)
        stored = [
            at for at, (element, _) in enumerate(outbound) if element is not None and element.tag == "cache-store"
        ]
        _refuse_half_a_cache(documents)
        self._ways = [[step for _, step in steps] for steps in (inbound, backend, outbound)]
        self._behind_store = self._ways[2][stored[0] + 1 if stored else 0 :]
        self._on_error = [step for _, step in on_error]

    async def run(self, context: Context) -> None:
        """Process a request; afterwards its answer is in the context.

        :raises ClientGone: nobody waits for it any more
        """
        try:
            for steps in self._ways:
                for step in steps:
                    waiting = step(context)
                    if waiting is not None:
                        await waiting
        except ProxyError as error:
            await self._failed(context, error)
        except FromCache:
            await run(self._behind_store, context)
        except Answered:
            pass
        except ClientGone:
            raise
        except Exception:
            log.exception("The gateway failed", extra={"correlation_id": context.variables.get("correlation-id", "")})
            await self._failed(context, ProxyError("gateway", "GatewayFailed", "The gateway failed.", status=500))
        _conclude(context)

    async def _failed(self, context: Context, error: ProxyError) -> None:
        context.error, context.status = error, error.status
        log.info(
            "Refused by the gateway: %s",
            error.message,
            extra={
                "policy": error.source,
                "reason": error.reason,
                "status": error.status,
                "correlation_id": context.variables.get("correlation-id", ""),
            },
        )
        try:
            await run(self._on_error, context)
        except Answered:
            return
        context.answer(*problem(error.status, error.message, context.request.headers.get("x-correlation-id", "")))


def _conclude(context: Context) -> None:
    """What is done whatever became of the request."""
    if context.after is not None:
        for count in context.after:
            count(context)
    if context.cors is not None:
        context.headers.extend(context.cors)


type _Placed = tuple[Element | None, Step]  # a step, and its element where that is one there can only be once


def _compiled(documents: Sequence[Element], section: Section, parts: Parts) -> list[_Placed]:
    found: list[_Placed] = []
    for at, document in enumerate(documents):
        element = _section(document, section)
        children = element.children if element else []
        _refuse_nested(children)
        _refuse_bases(element or document, children, section, 1 if at else 0)
        if section is Section.BACKEND and len(children) != 1:
            refuse(element or document, "<backend> has exactly one policy; more stand within that one")
        found = list(_in_scope(children, found, Place(parts, section)))
    _refuse_misplaced([element for element, _ in found])
    if section is Section.BACKEND and not _within(documents, section, "forward-request"):
        refuse(documents[0].only(section) or documents[0], "no <forward-request>: nothing would ever be answered")
    return found


def _in_scope(elements: Sequence[Element], around: Sequence[_Placed], place: Place) -> Iterator[_Placed]:
    """The steps of one scope, with those of the scopes around where `<base />` stands."""
    for alone, row in groupby(elements, key=lambda element: element.tag in {_BASE, *_ONCE}):
        if not alone:
            yield from ((None, step) for step in sequence(list(row), place))
            continue
        for element in row:
            if element.tag == _BASE:
                check_attributes(element, [])
                yield from around
            else:
                yield from ((element, step) for step in sequence([element], place))


def _refuse_misplaced(elements: Sequence[Element | None]) -> None:
    seen: set[str] = set()
    for at, element in enumerate(elements):
        if element is None:
            continue
        if element.tag in seen:
            refuse(element, f"<{element.tag}> is executed twice")
        if element.tag == "cors" and at:
            refuse(element, "<cors> must come first: what is refused before it, no website can read")
        seen.add(element.tag)


def _refuse_nested(elements: Sequence[Element]) -> None:
    """What the whole of a section turns on must stand in it directly, where we look for it.

    :raises StartRefused: it stands within another policy
    """
    for element in elements:
        for child in element.children:
            if child.tag in {"cors", "cache-store"}:
                refuse(child, f"<{child.tag}> must stand directly in its section")
        _refuse_nested(element.children)


def _refuse_bases(place: Element, children: Sequence[Element], section: Section, wanted: int) -> None:
    found = [child for child in children if child.tag == _BASE]
    if len(found) > wanted:
        refuse(found[wanted], "<base /> is there twice" if wanted else "the outermost scope has no base")
    if len(found) < wanted:
        refuse(place, f"<{section}> lacks <base />: it would go without the policies around")


def _refuse_half_a_cache(documents: Sequence[Element]) -> None:
    lookups = _within(documents, Section.INBOUND, "cache-lookup")
    stores = _within(documents, Section.OUTBOUND, "cache-store")
    if bool(lookups) != bool(stores):
        refuse((lookups or stores)[0], "<cache-lookup> and <cache-store> need each other")


def _within(documents: Sequence[Element], section: Section, tag: str) -> list[Element]:
    """The elements of that name in a section, however deep."""
    open_ = [part for document in documents if (part := document.only(section)) is not None]
    found: list[Element] = []
    while open_:
        element = open_.pop()
        open_ += element.children
        found += [element] if element.tag == tag else []
    return found


def _section(document: Element, section: Section) -> Element | None:
    if document.tag != "policies":
        refuse(document, "the root is <policies>")
    check_children(document, [name.value for name in Section])
    for each in document.children:
        check_attributes(each, [])
        if each.text:
            refuse(each, f"<{each.tag}> has text")
    return document.only(section)
