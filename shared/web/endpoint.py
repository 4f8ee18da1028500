"""HTTP endpoints: an edge declares its permission, input and answer; its handler sees neither HTTP nor JSON.

`Endpoints` puts on every request what all share: correlation id, trace, sign-in, permission, body limit, parsing,
problem documents. An endpoint without a permission cannot be written. An unexpected error is logged and answered as a
500 problem, since Azure's own 500 has neither a body nor the correlation id.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import azure.functions as func
from pydantic import BaseModel, ValidationError

from shared.audit import AuditTrail
from shared.auth.permissions import Caller, Permission
from shared.kernel.clock import utc_now
from shared.kernel.errors import DomainError, Kind, Malformed
from shared.kernel.ids import random_id
from shared.store.port import ContinuationRefused, StoreError
from shared.telemetry import Invocation, SpanKind, correlation
from shared.web.auditing import audited
from shared.web.borders import cross, refuse_unasked, refuse_undeclared
from shared.web.call import Answer, Call, Handler, Nothing, Raw, Wire
from shared.web.problem import RequestRefused
from shared.web.refusals import bug, refusal, store_trouble

__all__ = ["Admits", "Call", "EndpointSpec", "Endpoints", "Nothing", "Raw", "Wire"]

BODY_BYTES_MAX: Final = 64 * 1024
RAW_BODY_BYTES_MAX: Final = 1024 * 1024  # where no model reads it: the provider's webhook, or a body nobody wants
_CORRELATION = re.compile(r"^[A-Za-z0-9._-]{8,64}$")


class BodyTooLarge(DomainError):
    """The body exceeds `limit_bytes`."""

    kind = Kind.TOO_LARGE


class MediaTypeUnsupported(DomainError):
    """The body is not `application/json`, or it is compressed."""

    kind = Kind.UNSUPPORTED


class Admits(Protocol):
    """What lets requests in (`shared/web/entrance.py`)."""

    async def admit(self, headers: Mapping[str, str], needs: Permission, now: datetime, *, probe: bool) -> Caller:
        """The caller, or a refusal."""
        ...

    @property
    def trail(self) -> AuditTrail:
        """Where what was done is written down."""
        ...


type Answered = Callable[[func.HttpRequest, str], Awaitable[func.HttpResponse]]  # to a request, by its correlation id


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What the OpenAPI document says of an endpoint.

    :param function: its name as an Azure function
    :param within: where the organiser is named that `needs` is asked for; see `shared/web/borders.py`
    :param audited: whether the audit trail tells of it
    """

    function: str
    method: str
    route: str
    context: str
    needs: Permission
    within: str
    audited: bool
    takes: type[Wire]
    returns: type[BaseModel] | None
    status: int
    summary: str
    description: str
    refuses: Sequence[type[DomainError]]
    headers: Sequence[str]
    media_type: str


class Endpoints:
    """Registers endpoints of one context on its blueprint.

    :param context: names the context in the OpenAPI document and prefixes function names
    """

    def __init__(self, context: str, gate: Admits) -> None:
        self.blueprint: func.Blueprint = func.Blueprint()  # type: ignore[no-untyped-call]  # the SDK leaves it bare
        self.specs: list[EndpointSpec] = []
        self._context = context
        self._gate = gate

    def __call__[I: Wire](  # noqa: PLR0913 - a declaration, all of it by keyword
        self,
        method: str,
        route: str,
        *,
        needs: Permission,
        takes: type[I] = Nothing,  # type: ignore[assignment]  # a default for a type variable
        returns: type[BaseModel] | None = None,
        status: int = 200,
        refuses: Sequence[type[DomainError]] = (),
        headers: Sequence[str] = (),
        media_type: str = "application/json",
        within: str = "",
        audited: bool = False,
        probe: bool = False,
    ) -> Callable[[Handler[I]], Handler[I]]:
        """Declare the decorated coroutine as the endpoint `method route`; its docstring is summary and description.

        :param takes: the model of the JSON body (POST, PUT, PATCH) or of the query (GET, DELETE)
        :param status: of a success
        :param refuses: what the use case may answer beyond what every endpoint can
        :param headers: request headers to document, e.g. `Idempotency-Key`
        :param within: whose things it is about, as `shared/web/borders.py` says it
        :param audited: whether the audit trail tells who did it
        :param probe: whether the platform asks it itself, past the gateway
        :raises BorderUndeclared: it is about somebody's things and `within` does not say whose, or the other way round
        """

        def register(handler: Handler[I]) -> Handler[I]:
            summary, _, description = (handler.__doc__ or handler.__name__).strip().partition("\n")
            name = f"{self._context}_{handler.__name__}"
            refuse_undeclared(name, route, needs, within)
            spec = EndpointSpec(
                name, method, route, self._context, needs, within, audited, takes, returns, status, summary,
                re.sub(r"\s+", " ", description).strip(), refuses, headers, media_type,
            )  # fmt: skip
            self._trigger(spec, self._answering(handler, spec, takes, probe))
            return handler

        return register

    def _trigger(self, spec: EndpointSpec, answered: Answered) -> None:
        """Register what Azure calls: `answered`, measured and under its correlation id."""
        told = {"http.method": spec.method, "http.route": f"/api/{spec.route}"}

        async def run(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
            correlation_id = correlation_id_of(req)
            token = correlation.set(correlation_id)
            try:
                # The host takes its trace context from the caller, whoever that is.
                caller = context.trace_context.trace_parent
                with Invocation(spec.function, SpanKind.SERVER, caller, told) as invocation:
                    response = await answered(req, correlation_id)
                    invocation.answered(response.status_code)
                    return response
            finally:
                correlation.reset(token)

        # The worker compares parameter names with bindings, so the name is copied by hand: `functools.wraps` would show
        # it the handler's signature.
        run.__name__ = spec.function
        methods = ["GET", "HEAD"] if spec.method == "GET" else [spec.method]  # RFC 9110 section 9.1: HEAD wherever GET
        self.specs.append(spec)
        self.blueprint.route(route=spec.route, methods=methods, auth_level=func.AuthLevel.ANONYMOUS)(run)

    def _answering[I: Wire](self, handler: Handler[I], spec: EndpointSpec, takes: type[I], probe: bool) -> Answered:
        part = "query" if spec.method in {"GET", "DELETE"} else "body"
        handled = audited(handler, spec.function, spec.needs, self._gate.trail) if spec.audited else handler

        async def answered(req: func.HttpRequest, correlation_id: str) -> func.HttpResponse:
            try:
                now = utc_now()
                caller = await self._gate.admit(req.headers, spec.needs, now, probe=probe)
                given = _parse(req, takes, part)
                call = Call(caller, now, correlation_id, req)
                cross(call, given, spec.needs, spec.within)
                answer = await handled(call, given)
                refuse_unasked(caller, spec.within)
                return _success(answer, spec.status, correlation_id)
            except DomainError as refused:
                return refusal(refused, correlation_id)
            except ContinuationRefused as error:
                damaged = Malformed(str(error), field="continuation", allowed="what the page before gave")
                return refusal(damaged, correlation_id)
            except StoreError as error:
                return store_trouble(error, correlation_id)
            except Exception as error:
                return bug(error, correlation_id)

        return answered


def correlation_id_of(req: func.HttpRequest) -> str:
    """The request's `X-Correlation-Id` where it is well-formed (8–64 of `A-Za-z0-9._-`), else a new one."""
    given = str(req.headers.get("x-correlation-id", ""))
    return given if _CORRELATION.fullmatch(given) else random_id("cor")


def _parse[I: Wire](req: func.HttpRequest, takes: type[I], part: str) -> I:
    try:
        if part == "query":
            return takes.model_validate_strings(dict(req.params))
        body = req.get_body()
        limit = RAW_BODY_BYTES_MAX if takes is Nothing else BODY_BYTES_MAX
        if len(body) > limit:
            raise BodyTooLarge(f"The body is larger than {limit} bytes.", limit_bytes=limit)
        if takes is Nothing:
            return takes()
        media_type = str(req.headers.get("content-type", "")).partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise MediaTypeUnsupported("Send the body as application/json.", allowed="application/json")
        if req.headers.get("content-encoding", "identity") != "identity":
            raise MediaTypeUnsupported("Send the body as it is, without a Content-Encoding.", allowed="identity")
        return takes.model_validate_json(body)
    except ValidationError as error:
        raise RequestRefused.of(error, part=part) from error


def _success(answer: Answer, status: int, correlation_id: str) -> func.HttpResponse:
    headers = {"x-correlation-id": correlation_id}
    if isinstance(answer, Raw):
        headers.update(answer.headers or {})
        return func.HttpResponse(answer.body, status_code=status, headers=headers, mimetype=answer.media_type)
    if answer is None:
        return func.HttpResponse(status_code=204, headers=headers)
    headers["cache-control"] = "no-store"
    return func.HttpResponse(
        answer.model_dump_json(exclude_none=True).encode(), status_code=status, headers=headers,
        mimetype="application/json",
    )  # fmt: skip
