"""What Cosmos DB refuses or fails at, in the words of the store port. No error of the vendor passes this border.

Statuses: https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from shared.store.port import (
    AlreadyExists,
    Busy,
    CommitRefused,
    ConditionFailed,
    NotFound,
    Patch,
    StaleWrite,
    StoreError,
    Unavailable,
    Write,
)
from shared.telemetry import StoreCall, charge

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError
    from azure.cosmos.exceptions import CosmosBatchOperationError

CHARGE: Final = "x-ms-request-charge"
RETRY_AFTER: Final = "x-ms-retry-after-ms"
_BUSY: Final = frozenset({429, 449})  # throttled; another write on the same document is under way
_DENIED: Final = frozenset({401, 403})


def charge_of(headers: Mapping[str, Any]) -> float:
    """The request units in an answer's headers."""
    return float(headers.get(CHARGE, 0.0))


def headers_of(error: "AzureError") -> Mapping[str, Any]:
    """The headers of the answer that an error stands for; none where there was no answer."""
    return getattr(error, "headers", None) or {}


def trouble(error: "AzureError", *, what: str) -> StoreError:
    """What a failed call comes to, other than the refusal of a write.

    :param what: what was asked for, for the message
    """
    from azure.core.exceptions import ClientAuthenticationError, DecodeError

    status = getattr(error, "status_code", None)
    if isinstance(error, DecodeError):  # its status is that of a call that was done
        return Unavailable(f"{what}: the answer of Cosmos DB ({status}) cannot be read.")
    if isinstance(error, ClientAuthenticationError) and status not in _DENIED:
        return Unavailable(f"{what}: our identity was given no token ({status}); see docs/azure.md.")
    if status in _BUSY:
        return _busy(headers_of(error), what, status)
    if status == 404:  # a document's is an answer, and told before
        return Unavailable(f"{what}: the container is not in the account; has infra/ been deployed?")
    if status in _DENIED:
        return Unavailable(f"{what}: Cosmos DB refuses our identity or key ({status}); see docs/azure.md.")
    if status is None or status >= 408:
        # No status at all: no connection, no answer in time, or a connection that broke while the answer was due.
        return Unavailable(f"{what}: no answer from Cosmos DB ({status or type(error).__name__}).")
    return StoreError(f"{what}: Cosmos DB answered {status}: {error}")


@asynccontextmanager
async def answered(what: str, seconds: float, *, container: str, kind: StoreCall) -> AsyncIterator[None]:
    """One call of the store, with whatever the SDK does inside: it ends within its time, and speaks the port's words.

    The SDK's own bounds count neither who waits for one of its connections nor the identity's token.

    :param what: what is asked for, for the message
    :param container: who pays, with `kind`, for a call that fails
    :raises Busy: throttled
    :raises Unavailable: no answer, or none that can be read
    """
    from azure.core.exceptions import AzureError

    try:
        async with asyncio.timeout(seconds):
            yield
    except AzureError as error:
        charge(container, kind, charge_of(headers_of(error)))
        raise trouble(error, what=what) from error
    except TimeoutError as error:
        raise Unavailable(f"{what}: no answer from Cosmos DB within {seconds} s.") from error


def batch_trouble(error: "CosmosBatchOperationError", writes: Sequence[Write], *, what: str) -> StoreError:
    """What a failed batch comes to: which write refused, and whether an etag or a condition did.

    :raises ValueError: a write that the store could never accept
    """
    index = int(error.error_index or 0)
    status = int(error.status_code or 0)
    answers: Sequence[Mapping[str, Any]] = error.operation_responses or []
    if status in _BUSY:
        pause = answers[index].get("retryAfterMilliseconds", 0) if index < len(answers) else 0
        return _busy({RETRY_AFTER: pause or headers_of(error).get(RETRY_AFTER, 0)}, what, status)
    if status in (400, 413):
        raise ValueError(f"{what}: write {index} can never be accepted ({status}).") from error
    refusal = _refusal(status, writes[index])
    if refusal is not None:
        return refusal(f"{what}: write {index} on {writes[index].id!r} was refused.", index=index)
    return Unavailable(f"{what}: Cosmos DB answered {status}.")


def _refusal(status: int, write: Write) -> type[CommitRefused] | None:
    if status == 404:
        return NotFound
    if status == 409:
        return AlreadyExists
    if status == 412:  # one status for two things; the kind of write tells them apart
        return ConditionFailed if isinstance(write, Patch) else StaleWrite
    return None


def _busy(headers: Mapping[str, Any], what: str, status: int) -> Busy:
    pause = float(headers.get(RETRY_AFTER, 0)) / 1_000
    return Busy(f"{what}: Cosmos DB asks for a pause ({status}).", retry_after_seconds=pause)
