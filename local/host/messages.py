"""A delivery as Azure's host hands it to the worker.

Names and .NET types are those of ServiceBusTriggerBindingStrategy.cs (azure-sdk-for-net), their shapes on the wire
those of GrpcMessageConversionExtensions.cs (azure-functions-host): strings stay strings, null is left out, everything
else is JSON. Two oddities follow, kept on purpose because code must survive them on Azure: `EnqueuedTimeUtc` has no
zone, so Python sees a naive datetime; and arrays of strings lose their empty entries. `ExpiresAtUtc` is left out: the
bus knows no time to live, and reading a time costs the library 120 µs of CPU (it tries twelve formats with `strptime`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from local.host.runtime import Datum
from shared.bus.port import Delivery


@dataclass(frozen=True, slots=True)
class _Strings:
    string: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Bytes:
    bytes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Longs:
    sint64: Sequence[int]


def one_message(delivery: Delivery) -> tuple[Datum, dict[str, Datum]]:
    """Input and trigger metadata for a function that takes one message."""
    message = delivery.message
    properties = _json(_properties(delivery))
    metadata = {
        "DeliveryCount": _json(delivery.delivery_count),
        "LockToken": Datum(delivery.lock_token, "string"),
        "EnqueuedTimeUtc": _json(_time(delivery.enqueued_at)),
        "EnqueuedTime": _json(f"{_time(delivery.enqueued_at)}+00:00"),
        "MessageId": Datum(message.id, "string"),
        "ContentType": Datum("application/json", "string"),
        "SequenceNumber": _json(delivery.sequence_number),
        "Subject": Datum(message.type, "string"),
        "Label": Datum(message.type, "string"),
        "ApplicationProperties": properties,
        "UserProperties": properties,
    }
    if message.correlation_id:
        metadata["CorrelationId"] = Datum(message.correlation_id, "string")
    return Datum(message.body, "bytes"), metadata


def many_messages(deliveries: Sequence[Delivery]) -> tuple[Datum, dict[str, Datum]]:
    """Input and trigger metadata for a function that takes a batch (`cardinality=MANY`)."""
    times = [_time(each.enqueued_at) for each in deliveries]
    properties = _json([_properties(each) for each in deliveries])
    types = _strings([each.message.type for each in deliveries])
    metadata = {
        "DeliveryCountArray": _json([each.delivery_count for each in deliveries]),
        "LockTokenArray": _strings([each.lock_token for each in deliveries]),
        "EnqueuedTimeUtcArray": _json(times),
        "EnqueuedTimeArray": _json([f"{time}+00:00" for time in times]),
        "MessageIdArray": _strings([each.message.id for each in deliveries]),
        "ContentTypeArray": _strings(["application/json" for _ in deliveries]),
        "SequenceNumberArray": Datum(_Longs([each.sequence_number for each in deliveries]), "collection_sint64"),
        "SubjectArray": types,
        "LabelArray": types,
        "CorrelationIdArray": _strings([each.message.correlation_id for each in deliveries]),
        "ApplicationPropertiesArray": properties,
        "UserPropertiesArray": properties,
    }
    return Datum(_Bytes([each.message.body for each in deliveries]), "collection_bytes"), metadata


def _properties(delivery: Delivery) -> dict[str, str | int]:
    return {"type": delivery.message.type, **delivery.message.properties}


def _json(value: object) -> Datum:
    return Datum(orjson.dumps(value).decode(), "json")


def _strings(values: Sequence[str]) -> Datum:
    return Datum(_Strings([value for value in values if value]), "collection_string")


def _time(moment: datetime) -> str:
    """Newtonsoft's spelling of a DateTime of unspecified kind: no zone, no trailing zeros."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return text.rstrip("0") if moment.microsecond else text
