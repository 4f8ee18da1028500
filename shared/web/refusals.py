"""Answers to what did not succeed, as problem documents: a refusal, a store in trouble, a mistake of ours."""

from math import ceil
from typing import Any, Final

import azure.functions as func

from shared.kernel.errors import DomainError
from shared.store.port import Busy, StoreError
from shared.telemetry import Log, count
from shared.web.problem import MEDIA_TYPE, STATUS, problem_body

SILENT_SECONDS: Final = 5.0  # after which to ask again when the store does not answer
_log = Log("web")


def refusal(refusal: DomainError, correlation_id: str) -> func.HttpResponse:
    """What a client can act on: the status of its kind, its facts, when to come again."""
    status = STATUS[refusal.kind]
    headers: dict[str, Any] = {"x-correlation-id": correlation_id}
    if refusal.retry_after_seconds is not None:
        headers["retry-after"] = _pause(refusal.retry_after_seconds)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    _log.info("refused", code=refusal.code(), status=status, detail=refusal.detail)
    members = {key: value for key, value in refusal.facts.items() if value is not None}
    body = problem_body(
        code=refusal.code(), status=status, detail=refusal.detail, correlation_id=correlation_id, members=members
    )
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=MEDIA_TYPE)


def bug(error: Exception, correlation_id: str) -> func.HttpResponse:
    """Anything that is no refusal is a mistake of ours: logged with its traceback, told without it."""
    _log.error("bug", error=error)
    count("bugs")
    detail = "Something went wrong on our side; it has been logged. Quote the correlation id."
    body = problem_body(code="bug", status=500, detail=detail, correlation_id=correlation_id)
    headers = {"x-correlation-id": correlation_id}
    return func.HttpResponse(body, status_code=500, headers=headers, mimetype=MEDIA_TYPE)


def store_trouble(error: StoreError, correlation_id: str) -> func.HttpResponse:
    """The store is throttled or silent: nothing was lost, and the same request may be sent again."""
    _log.error("store_trouble", error=error)
    busy = isinstance(error, Busy)
    pause = error.retry_after_seconds if isinstance(error, Busy) else SILENT_SECONDS
    headers = {"x-correlation-id": correlation_id, "retry-after": _pause(pause)}
    detail = "The store is busy; send the same request again." if busy else "The store does not answer; try again soon."
    body = problem_body(
        code="store-busy" if busy else "store-unavailable", status=503, detail=detail, correlation_id=correlation_id
    )
    return func.HttpResponse(body, status_code=503, headers=headers, mimetype=MEDIA_TYPE)


def _pause(seconds: float) -> str:
    """`Retry-After`: in whole seconds, never shorter than the pause is."""
    return str(max(1, ceil(seconds)))
