"""The emulator's AMQP against the SDK's own encoder and decoder, which know nothing of ours."""

import contextlib
import struct
import uuid
from typing import Any

import pytest
from azure.servicebus._pyamqp import performatives as sdk_frames
from azure.servicebus._pyamqp._decode import _DECODE_BY_CONSTRUCTOR, decode_frame, decode_payload
from azure.servicebus._pyamqp._encode import encode_frame, encode_payload, encode_value
from azure.servicebus._pyamqp.message import Header, Message, Properties
from azure.servicebus._pyamqp.types import AMQPTypes
from hypothesis import given, settings
from hypothesis import strategies as st

from local.emulators.servicebus import performatives as ours
from local.emulators.servicebus.decoding import DEPTH_MAX, ELEMENTS_MAX, Reader, decode
from local.emulators.servicebus.encoding import encode
from local.emulators.servicebus.messages import BATCH_FORMAT, Stamps, batched, section, stamped, take_apart
from local.emulators.servicebus.values import (
    Array,
    Byte,
    Described,
    Float,
    Int,
    Long,
    Malformed,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)


def between(kind: type, bits: int, *, signed: bool) -> st.SearchStrategy[Any]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.integers(low, high).map(kind)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
SYMBOLS = st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol)
NUMBERS = st.one_of(
    between(UByte, 8, signed=False),
    between(UShort, 16, signed=False),
    between(UInt, 32, signed=False),
    between(ULong, 64, signed=False),
    between(Byte, 8, signed=True),
    between(Short, 16, signed=True),
    between(Int, 32, signed=True),
    between(Long, 64, signed=True),
    between(Timestamp, 64, signed=True),
)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, width=32).map(Float),
    TEXTS,
    SYMBOLS,
    st.binary(max_size=300),
    st.uuids(),
)
ARRAYS = st.one_of(
    *(st.lists(each, max_size=5).map(Array) for each in (SYMBOLS, TEXTS, st.uuids(), between(UInt, 32, signed=False))),
    st.lists(between(Long, 64, signed=True), max_size=5).map(Array),
    st.lists(between(Timestamp, 64, signed=True), max_size=5).map(Array),
)
KEYS = st.one_of(TEXTS, SYMBOLS, between(Long, 64, signed=True))
VALUES = st.recursive(
    st.one_of(PLAIN, ARRAYS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)


def as_sdk(value: Any) -> Any:
    """How the SDK's decoder shows a value: texts as bytes, numbers without their width."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return {as_sdk(key): as_sdk(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_sdk(each) for each in value]
    return value


def sdk_decode(data: bytes) -> Any:
    rest, value = _DECODE_BY_CONSTRUCTOR[data[0]](memoryview(data)[1:])
    assert not rest
    return value


@given(VALUES)
def test_what_is_written_is_read_back_with_its_types(value: Any) -> None:
    read = decode(encode(value))

    assert read == value
    assert type(read) is type(value)
    assert encode(read) == encode(value)


@given(VALUES)
def test_the_sdk_reads_what_is_written(value: Any) -> None:
    assert sdk_decode(encode(value)) == as_sdk(value)


SDK_TYPES = {
    AMQPTypes.ubyte: between(UByte, 8, signed=False),
    AMQPTypes.ushort: between(UShort, 16, signed=False),
    AMQPTypes.uint: between(UInt, 32, signed=False),
    AMQPTypes.ulong: between(ULong, 64, signed=False),
    AMQPTypes.byte: between(Byte, 8, signed=True),
    AMQPTypes.short: between(Short, 16, signed=True),
    AMQPTypes.int: between(Int, 32, signed=True),
    AMQPTypes.long: between(Long, 64, signed=True),
    AMQPTypes.timestamp: between(Timestamp, 64, signed=True),
    AMQPTypes.boolean: st.booleans(),
    AMQPTypes.string: TEXTS,
    AMQPTypes.symbol: SYMBOLS,
    AMQPTypes.binary: st.binary(max_size=300),
    AMQPTypes.uuid: st.uuids(),
    AMQPTypes.double: st.floats(allow_nan=False),
}
SDK_VALUES = st.one_of(*(st.tuples(st.just(kind), values) for kind, values in SDK_TYPES.items()))


def sdk_encode(kind: str, value: Any) -> bytes:
    output = bytearray()
    encode_value(output, {"TYPE": kind, "VALUE": value})
    return bytes(output)


@given(SDK_VALUES)
def test_what_the_sdk_writes_is_read(typed: tuple[str, Any]) -> None:
    kind, value = typed

    read = decode(sdk_encode(kind, value))

    assert read == value
    assert type(read) is type(value)


@given(st.lists(SDK_VALUES, max_size=5), st.dictionaries(TEXTS, SDK_VALUES, max_size=5))
def test_compound_values_of_the_sdk_are_read(items: list[tuple[str, Any]], pairs: dict[str, tuple[str, Any]]) -> None:
    typed = [{"TYPE": kind, "VALUE": value} for kind, value in items]
    mapped = [
        ({"TYPE": AMQPTypes.string, "VALUE": key}, {"TYPE": kind, "VALUE": each}) for key, (kind, each) in pairs.items()
    ]

    assert decode(sdk_encode(AMQPTypes.list, typed)) == [value for _, value in items]
    assert decode(sdk_encode(AMQPTypes.map, mapped)) == {key: value for key, (_, value) in pairs.items()}


UINTS = st.integers(0, 2**32 - 1)
FRAMES = st.one_of(
    st.builds(
        sdk_frames.OpenFrame,
        TEXTS,
        st.none() | TEXTS,
        UINTS,
        st.integers(0, 65535),
        st.none() | UINTS,
        *[st.none()] * 5,
    ),
    st.builds(sdk_frames.BeginFrame, st.none() | st.integers(0, 65535), UINTS, UINTS, UINTS, UINTS, *[st.none()] * 3),
    st.builds(
        sdk_frames.FlowFrame,
        st.none() | UINTS,
        UINTS,
        UINTS,
        UINTS,
        *[st.none() | UINTS] * 4,
        st.booleans(),
        st.booleans(),
        st.none(),
    ),
    st.builds(
        sdk_frames.DispositionFrame, st.booleans(), UINTS, st.none() | UINTS, st.booleans(), st.none(), st.booleans()
    ),
    st.builds(sdk_frames.DetachFrame, UINTS, st.booleans(), st.none()),
    st.builds(sdk_frames.EndFrame, st.none()),
    st.builds(sdk_frames.CloseFrame, st.none()),
)


@given(FRAMES)
def test_performatives_mean_the_same_here_and_in_the_sdk(frame: Any) -> None:
    _, body = encode_frame(frame)
    assert body is not None

    read = ours.performative_of(decode(bytes(body)))

    assert read.code == frame._code
    back_code, back = decode_frame(memoryview(read.encode()))
    assert (back_code, back) == (frame._code, decode_frame(memoryview(bytes(body)))[1])


HEADERS = st.tuples(st.booleans(), st.integers(0, 255), st.none() | UINTS).map(lambda each: Header(*each))
PROPERTIES = st.tuples(TEXTS | st.uuids(), st.none() | TEXTS, st.none() | TEXTS).map(
    lambda each: Properties(message_id=each[0], subject=each[1], correlation_id=each[2])
)
ANNOTATIONS = st.dictionaries(st.sampled_from(["x-opt-partition-key", "x-mine"]), TEXTS, min_size=1)
APPLICATION = st.dictionaries(TEXTS, TEXTS | st.integers(-(2**31), 2**31 - 1), min_size=1)
ANNOTATED = st.tuples(
    st.none() | HEADERS,
    st.none() | ANNOTATIONS,
    st.none() | PROPERTIES,
    st.none() | APPLICATION,
    st.lists(st.binary(max_size=50), min_size=1, max_size=3),
).map(lambda each: Message(each[0], None, each[1], each[2], each[3], each[4]))  # type: ignore[arg-type]  # its keys are texts


def payload_of(message: Message) -> bytes:
    return bytes(encode_payload(bytearray(), message))


@given(ANNOTATED, st.integers(1, 2**40), st.integers(0, 20))
def test_a_message_is_handed_out_as_it_was_sent_with_the_buses_stamps(
    message: Message, number: int, count: int
) -> None:
    sent = decode_payload(memoryview(payload_of(message)))

    received = decode_payload(memoryview(stamped(payload_of(message), Stamps(number, count, 1.5, 2.25))))

    assert received.properties == sent.properties
    assert received.application_properties == sent.application_properties
    assert received.data == sent.data
    assert received.header is not None
    assert received.header.delivery_count == count
    if sent.header is not None:
        assert received.header[:4] == sent.header[:4]
    assert received.message_annotations == (sent.message_annotations or {}) | {
        b"x-opt-sequence-number": number,
        b"x-opt-enqueued-time": 1500,
        b"x-opt-locked-until": 2250,
    }


def test_a_sender_cannot_forge_what_only_the_bus_says() -> None:
    claims = ("sequence-number", "enqueued-time", "locked-until", "message-state", "deadletter-source")
    forged = section(0x72, {Symbol(f"x-opt-{name}"): Timestamp(1) for name in claims})

    received = decode_payload(memoryview(stamped(forged + section(0x75, b"x"), Stamps(7, 0, 2.0))))

    assert received.message_annotations == {b"x-opt-sequence-number": 7, b"x-opt-enqueued-time": 2000}


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_a_batch_is_one_message_per_data_section(messages: list[bytes]) -> None:
    """https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#batching"""
    batch = payload_of(Message(data=messages)) if messages else b""

    assert batched(batch) == messages
    assert BATCH_FORMAT == 0x80013700


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    for read in (decode, take_apart, lambda each: ours.performative_of(Reader(each).value())):
        with contextlib.suppress(Malformed):
            read(data)


@given(VALUES, st.data())
def test_a_value_that_breaks_off_is_malformed(value: Any, data: st.DataObject) -> None:
    whole = encode(value)
    with pytest.raises(Malformed):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    "data",
    [
        b"\xd0\x00\x00\x00\x08" + struct.pack(">I", ELEMENTS_MAX + 1) + b"\x00" * 4,  # a list of too many
        b"\xf0\x00\x00\x00\x05" + struct.pack(">I", 2**32 - 1) + b"\x40",  # four thousand million nulls in five bytes
        b"\xc1\x02\x01\x40",  # a map with half an item
        b"\xb0\xff\xff\xff\xff",  # four gigabytes, announced
        b"\xc1\x05\x02\xc0\x01\x00\x40",  # a list as a key
        b"\x56\x02",  # neither true nor false
        b"\xa1\x02\xff\xff",  # not UTF-8
        b"\xa3\x01\x80",  # not ASCII
        b"\x73\x00\x11\x00\x00",  # beyond Unicode
        b"\x99",  # no constructor
        b"\xc0\x01\x00" * (DEPTH_MAX + 2),
        b"\x00" * 2000,  # descriptors of descriptors
        b"\x40\x40",  # more than one
    ],
)
def test_claims_a_value_cannot_keep_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize(
    "value",
    [
        None,
        Described(ULong(0x99), []),
        Described(Symbol("amqp:open:list"), []),
        Described(ULong(0x10), [None]),  # an open without its container
        Described(ULong(0x12), ["name"]),  # an attach without its handle
        Described(ULong(0x12), ["name", "handle", True]),  # a handle that is a text
        Described(ULong(0x14), [UInt(0)] * 12),  # more fields than a transfer has
    ],
)
def test_a_body_that_is_no_performative_is_malformed(value: Any) -> None:
    with pytest.raises(Malformed):
        ours.performative_of(value)


def test_ids_keep_their_type() -> None:
    """An answer is found by its correlation id, which for the SDK is a UUID."""
    known = uuid.uuid4()

    assert take_apart(payload_of(Message(properties=Properties(message_id=known), data=[b""]))).message_id == known
