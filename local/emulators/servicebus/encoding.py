"""AMQP values to bytes, each in its smallest encoding."""

import struct
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from local.emulators.servicebus.values import (
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Long,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
    Value,
)


def encode(value: Value) -> bytes:
    """A value with its constructor.

    :raises TypeError: AMQP has no such type
    """
    if value is None:
        return b"\x40"
    if isinstance(value, bool):
        return b"\x41" if value else b"\x42"
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        raise TypeError(f"AMQP has no type for {type(value).__name__}.")
    return encoder(value)


def map_of(encoded_items: Sequence[bytes]) -> bytes:
    """A map of keys and values that are encoded already, in turn."""
    return _compound(0xC1, 0xD1, encoded_items)


def list_of(encoded_items: Sequence[bytes]) -> bytes:
    """A list of values that are encoded already."""
    return _compound(0xC0, 0xD0, encoded_items) if encoded_items else b"\x45"


def _compound(small: int, large: int, items: Sequence[bytes]) -> bytes:
    body = b"".join(items)
    if len(body) < 255 and len(items) <= 255:
        return bytes((small, len(body) + 1, len(items))) + body
    return bytes((large,)) + struct.pack(">II", len(body) + 4, len(items)) + body


def _variable(small: int, large: int, data: bytes) -> bytes:
    if len(data) <= 255:
        return bytes((small, len(data))) + data
    return bytes((large,)) + struct.pack(">I", len(data)) + data


def _fixed(code: int, layout: str) -> Callable[[Value], bytes]:
    form = struct.Struct(f">B{layout}")
    return lambda value: form.pack(code, value)


def _unsigned(zero: int, small: int, large: int, layout: str) -> Callable[[Value], bytes]:
    wide = struct.Struct(f">B{layout}")

    def write(value: Value) -> bytes:
        assert isinstance(value, int)
        if value == 0:
            return bytes((zero,))
        return bytes((small, value)) if value <= 255 else wide.pack(large, value)

    return write


def _signed(small: int, large: int, layout: str) -> Callable[[Value], bytes]:
    wide = struct.Struct(f">B{layout}")

    def write(value: Value) -> bytes:
        assert isinstance(value, int)
        return struct.pack(">Bb", small, value) if -128 <= value <= 127 else wide.pack(large, value)

    return write


def _text(small: int, large: int, encoding: str) -> Callable[[Value], bytes]:
    def write(value: Value) -> bytes:
        assert isinstance(value, str)
        return _variable(small, large, value.encode(encoding))

    return write


def _binary(value: Value) -> bytes:
    assert isinstance(value, bytes | bytearray | memoryview)
    return _variable(0xA0, 0xB0, bytes(value))


def _list(value: Value) -> bytes:
    assert isinstance(value, list | tuple)
    return list_of([encode(each) for each in value])


def _map(value: Value) -> bytes:
    assert isinstance(value, dict)
    return map_of([encode(part) for item in value.items() for part in item])


def _array(value: Value) -> bytes:
    """Elements share one constructor: the widest of their type."""
    assert isinstance(value, Array)
    if not value:
        return b"\xe0\x01\x00"  # the SDK reads no constructor where there are no elements
    elements = [_widest(each) for each in value]
    codes = {code for code, _ in elements}
    if len(codes) != 1:
        raise TypeError("The elements of an AMQP array are of one type.")
    body = bytes(codes) + b"".join(data for _, data in elements)
    return b"\xf0" + struct.pack(">II", len(body) + 4, len(elements)) + body


def _widest(value: Value) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return 0x56, bytes((value,))
    if isinstance(value, Symbol):
        data = value.encode("ascii")
        return 0xB3, struct.pack(">I", len(data)) + data
    if isinstance(value, str) and not isinstance(value, Char):
        data = value.encode()
        return 0xB1, struct.pack(">I", len(data)) + data
    if isinstance(value, bytes):
        return 0xB0, struct.pack(">I", len(value)) + value
    wide = _WIDE.get(type(value))
    encoded = struct.pack(f">B{wide[1]}", wide[0], value) if wide is not None else encode(value)
    if encoded[0] not in _ARRAY_ELEMENTS:
        raise TypeError(f"Arrays of {type(value).__name__} are not written.")
    return encoded[0], encoded[1:]


def _described(value: Value) -> bytes:
    assert isinstance(value, Described)
    return b"\x00" + encode(value.descriptor) + encode(value.value)


def _opaque(value: Value) -> bytes:
    assert isinstance(value, Opaque)
    return bytes((value.code,)) + value.data


def _char(value: Value) -> bytes:
    assert isinstance(value, Char)
    return struct.pack(">BI", 0x73, ord(value))


def _uuid(value: Value) -> bytes:
    assert isinstance(value, uuid.UUID)
    return b"\x98" + value.bytes


_ENCODERS: Final[dict[type, Callable[[Value], bytes]]] = {
    UByte: _fixed(0x50, "B"),
    UShort: _fixed(0x60, "H"),
    UInt: _unsigned(0x43, 0x52, 0x70, "I"),
    ULong: _unsigned(0x44, 0x53, 0x80, "Q"),
    Byte: _fixed(0x51, "b"),
    Short: _fixed(0x61, "h"),
    Int: _signed(0x54, 0x71, "i"),
    Long: _signed(0x55, 0x81, "q"),
    int: _signed(0x55, 0x81, "q"),
    Timestamp: _fixed(0x83, "q"),
    Float: _fixed(0x72, "f"),
    float: _fixed(0x82, "d"),
    Char: _char,
    Symbol: _text(0xA3, 0xB3, "ascii"),
    str: _text(0xA1, 0xB1, "utf-8"),
    bytes: _binary,
    bytearray: _binary,
    memoryview: _binary,
    uuid.UUID: _uuid,
    list: _list,
    tuple: _list,
    dict: _map,
    Array: _array,
    Described: _described,
    Opaque: _opaque,
}
_WIDE: Final[dict[type, tuple[int, str]]] = {
    UInt: (0x70, "I"),
    ULong: (0x80, "Q"),
    Int: (0x71, "i"),
    Long: (0x81, "q"),
    int: (0x81, "q"),
}
_ARRAY_ELEMENTS: Final = frozenset(
    {0x50, 0x51, 0x60, 0x61, 0x70, 0x71, 0x72, 0x73, 0x74, 0x80, 0x81, 0x82, 0x83, 0x84, 0x94, 0x98}
)
