"""The API's front door: keys checked, faults injected, idempotency kept, errors in Stripe's shape."""

import asyncio
import hmac
import math
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local.emulators.database import Database
from local.emulators.serving import break_connection
from local.emulators.stripe.account import API_VERSION, Account, Origin
from local.emulators.stripe.errors import INVALID, ApiError
from local.emulators.stripe.faults import Fault, Faults
from local.emulators.stripe.idempotency import Keys, Stored
from local.emulators.stripe.ledger import new_id
from local.emulators.stripe.operations import ENDPOINTS, Call, Operation
from local.emulators.stripe.parameters import parse_form

_FORM = "application/x-www-form-urlencoded"


class Api:
    """All of `/v1`."""

    def __init__(self, account: Account, database: Database, keys: Keys, faults: Faults, api_key: str) -> None:
        self._account = account
        self._database = database
        self._keys = keys
        self._faults = faults
        self._api_key = api_key

    def routes(self) -> list[Route]:
        """A route per endpoint, and one for everything else."""
        known = [Route(path, self._endpoint(operation), methods=[method]) for method, path, operation in ENDPOINTS]
        return [*known, Route("/v1/{rest:path}", self._endpoint(_unrecognized), methods=["GET", "POST", "DELETE"])]

    def _endpoint(self, operation: Operation) -> Any:
        async def answer(request: Request) -> Response:
            request_id = new_id("req")
            fault: Fault | None = None
            try:
                self._authenticate(request)
                fault = self._faults.next(request.method, request.url.path)
                if fault is not None and fault.kind in {"error", "throttle", "reset"}:
                    return _failure(fault, request_id)
                response = await self._perform(operation, request, request_id, fault)
            except ApiError as error:
                response = _reply(error.status, orjson.dumps(error.body), request_id)
            return response if fault is None or fault.kind == "slow" else _failure(fault, request_id)

        return answer

    async def _perform(self, operation: Operation, request: Request, request_id: str, fault: Fault | None) -> Response:
        body = await request.body()
        pause = fault.seconds if fault is not None and fault.kind == "slow" else 0.0
        if request.method == "GET":
            call = self._call(request, parse_form(request.url.query), Origin(request_id))
            await asyncio.sleep(pause)
            with self._database.transaction():
                return _reply(200, orjson.dumps(operation(call)), request_id)
        if body and not request.headers.get("content-type", "").startswith(_FORM):
            raise ApiError(f"Invalid request: expected {_FORM}.")
        key = request.headers.get("idempotency-key")
        call = self._call(request, parse_form(body.decode()), Origin(request_id, key))
        if key is None:
            await asyncio.sleep(pause)
            with self._database.transaction():
                return _reply(200, orjson.dumps(operation(call)), request_id)
        with self._keys.running(key):
            endpoint = f"{request.method} {request.url.path}"
            stored = self._keys.find(key, endpoint=endpoint, parameters=body)
            if stored is not None:
                return _reply(stored.status, stored.body, request_id, replayed=stored)
            await asyncio.sleep(pause)
            return self._once(operation, call, key, endpoint, body)

    def _once(self, operation: Operation, call: Call, key: str, endpoint: str, parameters: bytes) -> Response:
        """Perform the action and keep its answer for `key`, in one transaction."""
        request_id = call.origin.request_id or ""
        with self._database.transaction():
            try:
                status, body = 200, orjson.dumps(operation(call))
            except ApiError as error:
                if not error.executed:
                    raise
                status, body = error.status, orjson.dumps(error.body)
            answer = Stored(status, body, request_id)
            self._keys.store(key, endpoint=endpoint, parameters=parameters, answer=answer, now=self._account.now())
        return _reply(status, body, request_id)

    def _call(self, request: Request, parameters: dict[str, Any], origin: Origin) -> Call:
        return Call(self._account, dict(request.path_params), parameters, origin)

    def _authenticate(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise ApiError(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
                status=401,
            )
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            raise ApiError(f"Invalid API Key provided: {given[:7]}{'*' * 8}{given[-4:]}", status=401)


class _BrokenConnection(Response):
    """An answer that never comes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await break_connection(scope, receive)


def _failure(fault: Fault, request_id: str) -> Response:
    match fault.kind:
        case "error":
            error = {"error": {"message": "An unknown error occurred (injected).", "type": "api_error"}}
            return _reply(500, orjson.dumps(error), request_id)
        case "throttle":  # https://docs.stripe.com/rate-limits
            refused = {"code": "rate_limit", "message": "Request rate limit exceeded.", "type": INVALID}
            reply = _reply(429, orjson.dumps({"error": refused}), request_id)
            if fault.seconds:
                reply.headers["Retry-After"] = str(math.ceil(fault.seconds))
            return reply
        case "garbage":
            return _reply(200, b"<html>\x00not what you asked for", request_id)
        case _:
            return _BrokenConnection()


def _reply(status: int, body: bytes, request_id: str, *, replayed: Stored | None = None) -> Response:
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
    if replayed is not None:
        headers |= {"Idempotent-Replayed": "true", "Original-Request": replayed.request_id}
    return Response(body, status, headers, media_type="application/json")


def _unrecognized(call: Call) -> Any:
    raise ApiError(f"Unrecognized request URL (/v1/{call.path['rest']}).", status=404)
