"""A chain of policy documents, from the global one to the operation's, compiled to four lists of closures.

`<base />` is where the policies of the scope around stand. A section without it leaves them out, as on Azure.
https://learn.microsoft.com/azure/api-management/api-management-howto-policies
"""

import logging
from collections.abc import Sequence
from typing import Final

from local.host.gateway.compiling import Parts, Place, Section, check_attributes, check_children, run
from local.host.gateway.context import Answered, Context, FromCache, ProxyError, Step
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
        stored = [at for at, (tag, _) in enumerate(outbound) if tag == "cache-store"]
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
        if context.after is not None:
            for count in context.after:
                count(context)
        if context.cors is not None:
            context.headers.extend(context.cors)

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


def _compiled(documents: Sequence[Element], section: Section, parts: Parts) -> list[tuple[str, Step]]:
    place = Place(parts, section)
    found: list[tuple[str, Step]] = []
    for at, document in enumerate(documents):
        element = _section(document, section)
        own: list[tuple[str, Step]] = []
        row: list[Element] = []
        for child in [*(element.children if element else ()), None]:
            if child is not None and child.tag not in {_BASE, *_ONCE}:
                row.append(child)
                continue
            own += [("", step) for step in sequence(row, place)]
            row = []
            if child is None:
                break
            if child.tag == _BASE:
                if at == 0:
                    refuse(child, "the outermost scope has no base")
                check_attributes(child, [])
                own += found
            else:
                own += [(child.tag, step) for step in sequence([child], place)]
        found = own
    for tag in _ONCE:
        if [name for name, _ in found].count(tag) > 1:
            refuse(documents[-1], f"<{tag}> is executed twice")
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
