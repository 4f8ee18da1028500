"""The gateway in front of the local host: it executes the policies that API Management executes on Azure.

Every request passes it, and every answer: the functions', the host's own and its pages'.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.host.errors import StartRefused
from local.host.gateway import access, caching, cors  # noqa: F401 - they register their policies
from local.host.gateway.cache import ResponseCache
from local.host.gateway.compiling import Parts
from local.host.gateway.configuration import CONFIGURATION, NamedValues, read_configuration
from local.host.gateway.context import ClientGone, Context
from local.host.gateway.document import Element, read_document
from local.host.gateway.limiter import RateLimiter
from local.host.gateway.pipeline import Pipeline
from local.host.http import Front, refused_protocol, sent
from local.host.problems import SECURITY_HEADERS, correlation_id_of, problem
from local.host.request import Receive, Scope, Send
from local.host.triggers import HttpFunction

log = logging.getLogger("local.host.gateway")

POLICIES_FOLDER: Final = Path("infra") / "policies"


class Gateway:
    """The ASGI application in front of another.

    :param operations: function → what happens to its requests
    :param elsewhere: what happens to requests of no function
    """

    def __init__(self, front: Front, operations: Mapping[str, Pipeline], elsewhere: Pipeline) -> None:
        self._front = front
        self._operations = operations
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; websockets are refused."""
        if scope["type"] != "http":
            await refused_protocol(send)
            return
        request = self._front.request(scope, receive)
        function = request.match.function
        pipeline = self._elsewhere if function is None else self._operations[function.name]
        context = Context(request)
        try:
            await pipeline.run(context)
        except ClientGone:
            return
        except Exception:  # on-error itself
            correlation_id = correlation_id_of(request.headers)
            log.exception("The gateway failed, and on-error too", extra={"correlation_id": correlation_id})
            told = "Something went wrong on our side; it has been logged."
            context.answer(*problem(500, told, correlation_id, SECURITY_HEADERS))
        await sent((context.status, context.headers, context.body), scope, send)


def load_gateway(
    folder: Path, front: Front, functions: tuple[HttpFunction, ...], environment: Mapping[str, str]
) -> Gateway:
    """The gateway with the policies of a folder, all of them compiled.

    :param environment: where named values and settings are
    :raises StartRefused: a policy cannot be executed, or a function has none
    """
    configuration = read_configuration(folder)
    named_values = NamedValues(configuration.named_values, environment)
    parts = Parts(front, named_values, RateLimiter(), ResponseCache(), {})
    policy_of = configuration.policy_of()
    without = sorted(function.name for function in functions if function.name not in policy_of)
    if without:
        raise StartRefused(f"{folder / CONFIGURATION} gives no policy to {', '.join(without)}")
    documents: dict[str, Element] = {}

    def document(name: str) -> Element:
        if name not in documents:
            documents[name] = read_document(folder / name)
        return documents[name]

    around = [document(name) for name in configuration.scopes.values()]
    compiled = {name: Pipeline([*around, document(name)], parts) for name in configuration.operations}
    elsewhere = Pipeline(around, parts)
    named_values.refuse_unused()
    return Gateway(front, {function.name: compiled[policy_of[function.name]] for function in functions}, elsewhere)
