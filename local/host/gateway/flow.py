"""Policies that decide what is executed: choose, retry, forward-request, set-variable, return-response.

https://learn.microsoft.com/azure/api-management/api-management-policies
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import NoReturn

from local.host.gateway.compiling import (
    EVERYWHERE,
    Place,
    Section,
    Value,
    attribute,
    boolean,
    check_attributes,
    check_children,
    compiled,
    condition,
    constant,
    nothing,
    number,
    policy,
    run,
    value_of,
)
from local.host.gateway.context import Answered, ClientGone, Context, Step, Test
from local.host.gateway.document import Element, refuse
from local.host.gateway.headers import fused, response_headers
from local.host.problems import Header


def sequence(elements: Sequence[Element], place: Place) -> list[Step]:
    """The closures of policies in a row; neighbours that set headers of the answer are one."""
    steps = [compiled(element, place) for element in elements]
    return fused([step for step in steps if step is not nothing])


@policy("choose", sections=EVERYWHERE, children=("when", "otherwise"))
def _choose(element: Element, place: Place) -> Step:
    branches: list[tuple[Test | None, list[Step]]] = []
    if not element.texts("when") or any(child.tag == "otherwise" for child in element.children[:-1]):
        refuse(element, "<choose> has at least one <when>, and <otherwise> last")
    for child in element.children:
        check_attributes(child, ["condition"] if child.tag == "when" else [])
        if not child.children:  # https://learn.microsoft.com/azure/api-management/choose-policy
            refuse(child, f"<{child.tag}> has at least one policy")
        steps = sequence(child.children, place)  # compiled even where it is never executed: a slip is a slip
        test = condition(child, place) if child.tag == "when" else True
        if test is False:
            continue
        branches.append((None if test is True else test, steps))
        if test is True:
            break

    if not branches:
        return nothing

    def choose(context: Context) -> Awaitable[None] | None:
        for test, steps in branches:
            if test is None or test(context):
                return _all(steps, context)
        return None

    return choose


def _all(steps: Sequence[Step], context: Context) -> Awaitable[None] | None:
    """Execute steps, without a coroutine as long as none waits."""
    for at, step in enumerate(steps):
        waiting = step(context)
        if waiting is not None:
            return waiting if at == len(steps) - 1 else _rest(waiting, steps[at + 1 :], context)
    return None


async def _rest(waiting: Awaitable[None], steps: Sequence[Step], context: Context) -> None:
    await waiting
    await run(steps, context)


@policy(
    "retry", sections=EVERYWHERE, required=("condition", "count", "interval"), optional=("first-fast-retry",),
    children=None,
)  # fmt: skip
def _retry(element: Element, place: Place) -> Step:
    again = condition(element, place)
    if isinstance(again, bool):
        refuse(element, "the condition of <retry> must look at the answer")
    steps = sequence(element.children, place)
    count = number(element, "count", place, least=1, most=50)
    interval = number(element, "interval", place, least=1, most=300)
    fast = boolean(element, "first-fast-retry", place, "false")

    async def retry(context: Context) -> None:
        await run(steps, context)
        for attempt in range(count):
            if not again(context):
                return
            if attempt or not fast:
                await asyncio.sleep(interval)
            await run(steps, context)

    return retry


@policy("forward-request", sections=frozenset({Section.BACKEND}))
def _forward(_element: Element, place: Place) -> Step:
    backend = place.parts.front.answer

    async def forward(context: Context) -> None:
        context.request.correlated = "correlation-id" in context.variables
        answer = await backend(context.request)
        if answer is None:
            raise ClientGone
        context.status, context.headers, context.body = answer

    return forward


@policy("set-backend-service", sections=frozenset({Section.INBOUND}), required=("backend-id",))
def _set_backend(element: Element, place: Place) -> Step:
    """Which app is asked. Here one host runs every function; the names are compared with Bicep's in `tests/infra`."""
    attribute(element, "backend-id", place)
    return nothing


@policy("set-variable", sections=EVERYWHERE, required=("name", "value"))
def _set_variable(element: Element, place: Place) -> Step:
    name, value = constant(element, "name", place), attribute(element, "value", place).get

    def set_variable(context: Context) -> None:
        context.variables[name] = value(context)

    return set_variable


@policy("return-response", sections=EVERYWHERE, children=("set-status", "set-header", "set-body"))
def _return_response(element: Element, place: Place) -> Step:
    status = _status(element.only("set-status"), place)
    body = _body(element.only("set-body"), place)
    headers = response_headers(element.texts("set-header"), place)

    def return_response(context: Context) -> NoReturn:
        given = body.get(context)
        content = given if isinstance(given, bytes) else str(given).encode()
        own: list[Header] = [(b"content-length", b"%d" % len(content))]
        context.answer(int(status.get(context)), own, content)
        headers(context)
        raise Answered

    return return_response


def _status(element: Element | None, place: Place) -> Value:
    if element is None:
        return Value("200", lambda _context: 200)
    check_attributes(element, ["code", "reason"])
    check_children(element, ())
    attribute(element, "reason", place)  # which phrase HTTP/1.1 sends with a status, the connection knows itself
    found = attribute(element, "code", place)
    if found.constant is not None:
        number(element, "code", place, least=200, most=599)
    return found


def _body(element: Element | None, place: Place) -> Value:
    if element is None:
        return Value("", lambda _context: b"")
    check_attributes(element, [])
    check_children(element, ())
    return value_of(element.text, element, place)


@policy(
    "authentication-managed-identity", sections=frozenset({Section.INBOUND}),
    required=("resource", "client-id", "output-token-variable-name"),
)  # fmt: skip
def _managed_identity(element: Element, place: Place) -> Step:
    # Azure takes a policy without a client id for the system-assigned identity, which our gateway does not have.
    identity = constant(element, "client-id", place)
    resource = constant(element, "resource", place)
    variable = constant(element, "output-token-variable-name", place)

    def stand_in(context: Context) -> None:
        """This machine has no managed identity: its token is a text that no service takes for one."""
        context.variables[variable] = f"no-managed-identity-here:{identity}:{resource}"

    return stand_in
