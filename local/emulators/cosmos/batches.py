"""Transactional batches: up to 100 operations on one logical partition, all or none.

https://learn.microsoft.com/azure/cosmos-db/transactional-batch
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from local.emulators.cosmos.containers import Container, Json
from local.emulators.cosmos.documents import check_id, checked, rendered
from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.patches import Patch, parse_patch
from local.emulators.cosmos.requests import Answer, Asking
from local.emulators.cosmos.transactions import Outcome, Transaction

# https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-request-limits
OPERATIONS_MAX: Final = 100
BYTES_MAX: Final = 2 * 1024 * 1024
FAILED_CHARGE: Final = 1.0
_KINDS: Final = frozenset({"Create", "Upsert", "Read", "Delete", "Replace", "Patch"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a batch.

    :param id: the document's; that of the body for Create and Upsert
    """

    kind: str
    id: str
    body: Json | None
    patch: Patch | None
    if_match: str | None
    if_none_match: str | None


class BatchFailed(Exception):
    """One operation refused, so that nothing of the batch may remain.

    :param index: its position
    """

    def __init__(self, index: int, refusal: Refused) -> None:
        super().__init__(refusal.detail)
        self.index = index
        self.refusal = refusal


def parse_batch(data: bytes) -> list[Operation]:
    """The operations of a batch request.

    :raises Refused: 400, malformed or too many operations; 413, too large
    """
    if len(data) > BYTES_MAX:
        raise Refused(413, "Request size is too large.")
    try:
        given = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"The batch cannot be read: {error}") from None
    if not isinstance(given, list) or not given:
        raise Refused(400, "A batch is an array of operations.")
    if len(given) > OPERATIONS_MAX:
        raise Refused(400, f"Batch request has more operations than what is supported: {OPERATIONS_MAX}.")
    return [_operation(part) for part in given]


def perform(transaction: Transaction, operations: Sequence[Operation]) -> list[Outcome]:
    """What became of each operation.

    :raises BatchFailed: one was refused
    """
    outcomes = []
    for index, operation in enumerate(operations):
        try:
            outcomes.append(_perform(transaction, operation))
        except Refused as refusal:
            raise BatchFailed(index, refusal) from refusal
    return outcomes


def succeeded(container: Container, outcomes: Sequence[Outcome], *, minimal: bool) -> bytes:
    """The answer to a batch that happened.

    :param minimal: without the documents
    """
    return b"[" + b",".join(_result(container, outcome, minimal) for outcome in outcomes) + b"]"


def failed(count: int, failure: BatchFailed) -> Answer:
    """The answer to a batch that did not: 424 for all operations but the one that refused."""
    results: list[Json] = [{"statusCode": 424, "requestCharge": 0.0} for _ in range(count)]
    own: Json = {"statusCode": failure.refusal.status, "requestCharge": FAILED_CHARGE}
    if failure.refusal.substatus:
        own["subStatusCode"] = failure.refusal.substatus
    if "x-ms-retry-after-ms" in failure.refusal.headers:
        own["retryAfterMilliseconds"] = int(failure.refusal.headers["x-ms-retry-after-ms"])
    results[failure.index] = own
    return Answer(207, orjson.dumps(results), FAILED_CHARGE)


def refused_inside(asking: Asking, refusal: Refused) -> Answer:
    """The answer to a batch of which the first operation is refused for no reason of its own."""
    return failed(len(parse_batch(asking.body)), BatchFailed(0, refusal))


def _operation(given: Any) -> Operation:
    if not isinstance(given, dict) or given.get("operationType") not in _KINDS:
        raise Refused(400, "Each operation of a batch has an operationType.")
    kind, body = given["operationType"], given.get("resourceBody")
    document = checked(body) if kind in {"Create", "Upsert", "Replace"} else None
    patch = parse_patch(body) if kind == "Patch" else None
    name = document["id"] if document is not None and kind != "Replace" else given.get("id")
    check_id(name)
    if given.get("partitionKey") is not None:
        raise unsupported("a partition key within a batch operation")
    return Operation(str(kind), str(name), document, patch, given.get("ifMatch"), given.get("ifNoneMatch"))


def _perform(transaction: Transaction, operation: Operation) -> Outcome:
    if operation.if_none_match is not None and operation.kind != "Read":
        raise unsupported("ifNoneMatch of a write")
    match operation:
        case Operation("Create", _, dict() as body):
            return transaction.create(body)
        case Operation("Upsert", _, dict() as body):
            return transaction.upsert(body, if_match=operation.if_match)
        case Operation("Replace", name, dict() as body):
            return transaction.replace(name, body, if_match=operation.if_match)
        case Operation("Patch", name, _, Patch() as patch):
            return transaction.patch(name, patch, if_match=operation.if_match)
        case Operation("Delete", name):
            return transaction.delete(name, if_match=operation.if_match)
        case _:
            return transaction.read(operation.id, if_none_match=operation.if_none_match)


def _result(container: Container, outcome: Outcome, minimal: bool) -> bytes:
    head: Json = {"statusCode": outcome.status, "requestCharge": outcome.charge}
    if outcome.stored is None:
        return orjson.dumps(head)
    head["eTag"] = outcome.stored.etag
    if minimal or outcome.status == 304:
        return orjson.dumps(head)
    return orjson.dumps(head)[:-1] + b',"resourceBody":' + rendered(container, outcome.stored) + b"}"
