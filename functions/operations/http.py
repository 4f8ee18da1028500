"""Operations over HTTP: health, what this process measured, and the API's own description."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import orjson
from pydantic import BaseModel, Field

from functions.operations.audit_http import audit_endpoint
from functions.operations.dead_letters import DeadLetterOffice
from functions.operations.dead_letters_http import dead_letter_endpoints
from functions.operations.docs_page import docs_page
from functions.operations.health import Health
from functions.operations.openapi import openapi
from shared.audit import AuditTrail
from shared.auth.permissions import Permission
from shared.kernel.errors import DependencyUnavailable
from shared.telemetry import counters, gauges
from shared.version import version
from shared.web.endpoint import Admits, Call, Endpoints, EndpointSpec, Nothing, Raw

METRICS_TYPE: Final = "text/plain; version=0.0.4"  # the SDK adds the charset


class NotReady(DependencyUnavailable):
    """Something this service stands on does not answer; `missing` names it."""


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"
    version: str = Field(description="of the package that answers: commit and checksum; `development` of a checkout")


class Counters(BaseModel):
    """What one process counted; with several, each answers for itself.

    `gauges` go up and down: `dead_letters.<queue>`, and `breaker.<neighbour>` (0 closed, 1 half open, 2 open).
    """

    process_id: int
    counters: dict[str, int]
    gauges: dict[str, int]


class Ready(BaseModel):
    """Everything answers; `warnings` are what somebody should look at all the same, such as dead letters."""

    status: str = "ready"
    checks: dict[str, bool]
    warnings: list[str]


def endpoints(
    health: Health,
    specs: Callable[[], Sequence[EndpointSpec]],
    *,
    server: str,
    gate: Admits,
) -> Endpoints:
    """The endpoints that every app has, whatever services it runs.

    :param specs: every endpoint of the API, these included, whichever of them this app has
    """
    http = Endpoints("operations", gate)
    _health(http, health)
    _counters(http)
    _metrics(http)

    @cache
    def document() -> dict[str, Any]:
        return openapi(specs(), server=server)

    @cache
    def page() -> bytes:
        return docs_page(document())

    @http("GET", "openapi.json", needs=Permission.PUBLIC, media_type="application/json; charset=utf-8")
    async def openapi_document(call: Call, nothing: Nothing) -> Raw:
        """Describe this API as an OpenAPI 3.1 document."""
        return Raw(orjson.dumps(document()), "application/json", {"cache-control": "public, max-age=300"})

    @http("GET", "docs", needs=Permission.PUBLIC, media_type="text/html")
    async def docs(call: Call, nothing: Nothing) -> Raw:
        """Show this description as a page."""
        return Raw(page(), "text/html", {"cache-control": "public, max-age=300"})

    return http


def office_endpoints(office: DeadLetterOffice, trail: AuditTrail, gate: Admits) -> Endpoints:
    """The endpoints for those who run the platform: dead letters, and who did what with them."""
    http = Endpoints("operations", gate)
    dead_letter_endpoints(http, office)
    audit_endpoint(http, trail)
    return http


def _counters(http: Endpoints) -> None:
    @http("GET", "operations/counters", needs=Permission.OPERATE, returns=Counters)
    async def show_counters(call: Call, nothing: Nothing) -> Counters:
        """Show what this process counted since it started: late payments, refused mails, repairs, violations.

        The gauges say how things stand as this process knows them: circuit breakers by neighbour; dead letters by
        queue where a timer or a look at the dead letters counted them in it lately. Nobody is asked for this answer.
        """
        return Counters(process_id=os.getpid(), counters=counters(), gauges=gauges())


def _metrics(http: Endpoints) -> None:
    @http("GET", "metrics", needs=Permission.READ_METRICS, media_type=METRICS_TYPE)
    async def metrics(call: Call, nothing: Nothing) -> Raw:
        """Show what this process measured, in the Prometheus text format.

        Private: the insights key is its bearer token. With several processes each answers for itself, and says so in
        the label `process` (machine and process id). A counter begins at 0 with its process. Nobody is asked for this
        answer: dead letters are told where a timer or a look at them counted them in this process lately.
        """
        from shared.telemetry.prometheus import exposition  # where nobody asks, its library is not loaded

        return Raw(exposition(), METRICS_TYPE, {"cache-control": "no-store"})


def _health(http: Endpoints, health: Health) -> None:
    @http("GET", "health/live", needs=Permission.PUBLIC, returns=Alive, probe=True)
    async def live(call: Call, nothing: Nothing) -> Alive:
        """Tell whether the process answers, and which version it is.

        With several apps and instances each answers for itself: while a new version comes, old ones may still answer.
        """
        return Alive(version=version())

    @http("GET", "health/ready", needs=Permission.PUBLIC, returns=Ready, refuses=[NotReady], probe=True)
    async def ready(call: Call, nothing: Nothing) -> Ready:
        """Tell whether everything this service stands on answers.

        The answer may be some seconds old.
        """
        found = await health.ready(call.now)
        missing = sorted(name for name, answers in found.checks.items() if not answers)
        if missing:
            raise NotReady(f"Not ready: {', '.join(missing)}.", missing=missing)
        return Ready(checks=dict(found.checks), warnings=list(found.warnings))
