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
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.auth.permissions import Caller, Permission
from shared.kernel.clock import utc_now
from shared.kernel.errors import DomainError, Kind, Malformed, NotFound
from shared.kernel.ids import ID_PATTERN, random_id
from shared.kernel.model import Model
from shared.store.port import ContinuationRefused, StoreError
from shared.telemetry import Invocation, SpanKind, correlation
from shared.web.problem import RequestRefused
from shared.web.refusals import bug, refusal, store_trouble

BODY_BYTES_MAX: Final = 64 * 1024
RAW_BODY_BYTES_MAX: Final = 1024 * 1024  # where no model reads it: the provider's webhook, or a body nobody wants
_CORRELATION = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_IDEMPOTENCY_KEY = re.compile(r"^[\x21-\x7e]{1,128}$")
_ID = re.compile(ID_PATTERN)


class Wire(Model):
    """A request body or query: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Wire):
    """The input of an endpoint that takes none."""


class BodyTooLarge(DomainError):
    """The body exceeds `limit_bytes`."""

    kind = Kind.TOO_LARGE


class MediaTypeUnsupported(DomainError):
    """The body is not `application/json`, or it is compressed."""

    kind = Kind.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not a model: a picture, a page."""

    body: bytes
    media_type: str
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in.

    :param now: when it arrived, UTC
    :param raw: the request itself, for the few edges that need its exact bytes
    """

    caller: Caller
    now: datetime
    correlation_id: str
    raw: func.HttpRequest

    def id(self, name: str) -> str:
        """The id in the route.

        :raises NotFound: it does not look like an id, so there is no such thing
        """
        value = str(self.raw.route_params.get(name, ""))
        if not _ID.fullmatch(value):
            raise NotFound(f"There is no {name.removesuffix('_id').replace('_', ' ')} “{value[:60]}”.")
        return value

    @property
    def idempotency_key(self) -> str:
        """The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header).

        :raises Malformed: it is missing, longer than 128 characters, or has blanks
        """
        key = str(self.raw.headers.get("idempotency-key", ""))
        if not _IDEMPOTENCY_KEY.fullmatch(key):
            raise Malformed(
                "Send an Idempotency-Key header: a value you make up once per order, e.g. a UUID.",
                field="Idempotency-Key",
                allowed="1–128 visible ASCII characters",
            )
        return key


class Admits(Protocol):
    """What lets requests in (`shared/web/entrance.py`)."""

    async def admit(self, headers: Mapping[str, str], needs: Permission, now: datetime, *, probe: bool) -> Caller:
        """The caller, or a refusal."""
        ...


type Answer = BaseModel | Raw | None
type Answered = Callable[[func.HttpRequest, str], Awaitable[func.HttpResponse]]  # to a request, by its correlation id
type Handler[I: Wire] = Callable[[Call, I], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """What the OpenAPI document says of an endpoint.

    :param function: its name as an Azure function
    """

    function: str
    method: str
    route: str
    context: str
    needs: Permission
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

    def __call__[I: Wire](
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
        probe: bool = False,
    ) -> Callable[[Handler[I]], Handler[I]]:
        """Declare the decorated coroutine as the endpoint `method route`.

        Its docstring is the OpenAPI summary (first line) and description (the rest).

        :param takes: the model of the JSON body (POST, PUT, PATCH) or of the query (GET, DELETE)
        :param status: of a success
        :param refuses: what the use case may answer beyond what every endpoint can
        :param headers: request headers to document, e.g. `Idempotency-Key`
        :param probe: whether the platform asks it itself, past the gateway
        """

        def register(handler: Handler[I]) -> Handler[I]:
            summary, _, description = (handler.__doc__ or handler.__name__).strip().partition("\n")
            name = f"{self._context}_{handler.__name__}"
            spec = EndpointSpec(
                name, method, route, self._context, needs, takes, returns, status, summary,
                re.sub(r"\s+", " ", description).strip(), refuses, headers, media_type,
            )  # fmt: skip
            part = "query" if method in {"GET", "DELETE"} else "body"
            self._trigger(spec, self._answering(handler, needs, takes, part, status, probe))
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

    def _answering[I: Wire](
        self, handler: Handler[I], needs: Permission, takes: type[I], part: str, status: int, probe: bool
    ) -> Answered:
        async def answered(req: func.HttpRequest, correlation_id: str) -> func.HttpResponse:
            try:
                now = utc_now()
                caller = await self._gate.admit(req.headers, needs, now, probe=probe)
                given = _parse(req, takes, part)
                answer = await handler(Call(caller, now, correlation_id, req), given)
                return _success(answer, status, correlation_id)
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
