"""Bytes to AMQP values. Everything a peer claims about sizes and counts is checked against what it sent."""

import struct
import uuid
from collections.abc import Callable
from typing import Final

from local.emulators.servicebus.values import (
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Long,
    Malformed,
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

DEPTH_MAX: Final = 32  # values within values
ELEMENTS_MAX: Final = 65_536  # of one list, map or array: some elements have no bytes of their own
DESCRIBED: Final = 0x00


class Reader:
    """Reads values one after the other.

    :param data: the bytes
    :param at: where to begin
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def take(self, size: int) -> bytes:
        """The next `size` bytes.

        :raises Malformed: there are fewer
        """
        begin = self.at
        if size > self.end - begin:
            raise Malformed(f"{size} bytes are announced, {self.end - begin} are left.")
        self.at = begin + size
        return self.data[begin : self.at]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def value(self, depth: int = 0) -> Value:
        """The next value with its constructor.

        :raises Malformed: it is none
        """
        return self.of(self.byte(), depth)

    def of(self, code: int, depth: int) -> Value:
        """The next value, whose constructor was `code`."""
        if depth > DEPTH_MAX:
            raise Malformed(f"Values lie more than {DEPTH_MAX} deep.")
        plain = _PLAIN.get(code)
        if plain is not None:
            return plain(self)
        compound = _COMPOUND.get(code)
        if compound is None:
            raise Malformed(f"There is no constructor 0x{code:02x}.")
        return compound(self, code, depth + 1)


def decode(data: bytes) -> Value:
    """The one value that `data` is.

    :raises Malformed: it is none, or there is more
    """
    reader = Reader(data)
    value = reader.value()
    if reader.at != reader.end:
        raise Malformed(f"{reader.end - reader.at} bytes follow the value.")
    return value


def _fixed(layout: str, kind: Callable[[int], Value]) -> Callable[[Reader], Value]:
    form = struct.Struct(f">{layout}")
    return lambda reader: kind(form.unpack(reader.take(form.size))[0])


def _boolean(reader: Reader) -> Value:
    byte = reader.byte()
    if byte > 1:
        raise Malformed(f"0x{byte:02x} is no boolean.")
    return byte == 1


def _char(reader: Reader) -> Value:
    (point,) = struct.unpack(">I", reader.take(4))
    try:
        return Char(chr(point))
    except (ValueError, OverflowError):
        raise Malformed(f"{point} is no character.") from None


def _float(reader: Reader) -> Value:
    return Float(struct.unpack(">f", reader.take(4))[0])


def _double(reader: Reader) -> Value:
    value: float = struct.unpack(">d", reader.take(8))[0]
    return value


def _opaque(code: int, size: int) -> Callable[[Reader], Value]:
    return lambda reader: Opaque(code, reader.take(size))


def _length(reader: Reader, wide: bool) -> int:
    return int.from_bytes(reader.take(4)) if wide else reader.byte()


def _binary(wide: bool) -> Callable[[Reader], Value]:
    return lambda reader: reader.take(_length(reader, wide))


def _text(kind: Callable[[str], Value], encoding: str, wide: bool) -> Callable[[Reader], Value]:
    def read(reader: Reader) -> Value:
        data = reader.take(_length(reader, wide))
        try:
            return kind(data.decode(encoding))
        except UnicodeDecodeError as error:
            raise Malformed(f"A text is not {encoding}.") from error

    return read


def _described(reader: Reader, _: int, depth: int) -> Value:
    descriptor = reader.value(depth)
    return Described(descriptor, reader.value(depth))


def _inside(reader: Reader, wide: bool) -> tuple[Reader, int]:
    """What is inside a compound value, and how many elements it claims."""
    size = _length(reader, wide)
    begin = reader.at
    reader.take(size)
    inside = Reader(reader.data, begin, begin + size)
    count = _length(inside, wide)
    if count > ELEMENTS_MAX:
        raise Malformed(f"{count} elements are announced; {ELEMENTS_MAX} are allowed.")
    return inside, count


def _finished(inside: Reader) -> None:
    if inside.at != inside.end:
        raise Malformed("A compound value is longer than its elements.")


def _list(reader: Reader, code: int, depth: int) -> Value:
    inside, count = _inside(reader, code == 0xD0)
    values = [inside.value(depth) for _ in range(count)]
    _finished(inside)
    return values


def _map(reader: Reader, code: int, depth: int) -> Value:
    inside, count = _inside(reader, code == 0xD1)
    if count % 2:
        raise Malformed("A map has a key without a value.")
    values: dict[object, Value] = {}
    for _ in range(count // 2):
        key = inside.value(depth)
        try:
            values[key] = inside.value(depth)
        except TypeError:
            raise Malformed("A map's key cannot be one.") from None
    _finished(inside)
    return values


def _array(reader: Reader, code: int, depth: int) -> Value:
    inside, count = _inside(reader, code == 0xF0)
    if count == 0:
        return Array()
    element = inside.byte()
    if element == DESCRIBED:
        descriptor = inside.value(depth)
        element = inside.byte()
        values = Array(Described(descriptor, inside.of(element, depth)) for _ in range(count))
    else:
        values = Array(inside.of(element, depth) for _ in range(count))
    _finished(inside)
    return values


def _constant(value: Value) -> Callable[[Reader], Value]:
    return lambda _: value


_PLAIN: Final[dict[int, Callable[[Reader], Value]]] = {
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(UInt(0)),
    0x44: _constant(ULong(0)),
    0x45: lambda _: [],
    0x50: _fixed("B", UByte),
    0x51: _fixed("b", Byte),
    0x52: _fixed("B", UInt),
    0x53: _fixed("B", ULong),
    0x54: _fixed("b", Int),
    0x55: _fixed("b", Long),
    0x56: _boolean,
    0x60: _fixed("H", UShort),
    0x61: _fixed("h", Short),
    0x70: _fixed("I", UInt),
    0x71: _fixed("i", Int),
    0x72: _float,
    0x73: _char,
    0x74: _opaque(0x74, 4),
    0x80: _fixed("Q", ULong),
    0x81: _fixed("q", Long),
    0x82: _double,
    0x83: _fixed("q", Timestamp),
    0x84: _opaque(0x84, 8),
    0x94: _opaque(0x94, 16),
    0x98: lambda reader: uuid.UUID(bytes=reader.take(16)),
    0xA0: _binary(wide=False),
    0xB0: _binary(wide=True),
    0xA1: _text(str, "utf-8", wide=False),
    0xB1: _text(str, "utf-8", wide=True),
    0xA3: _text(Symbol, "ascii", wide=False),
    0xB3: _text(Symbol, "ascii", wide=True),
}
_COMPOUND: Final[dict[int, Callable[[Reader, int, int], Value]]] = {
    DESCRIBED: _described,
    0xC0: _list,
    0xD0: _list,
    0xC1: _map,
    0xD1: _map,
    0xE0: _array,
    0xF0: _array,
}
