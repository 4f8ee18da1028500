"""AMQP's types where Python has no type of its own: https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-types-v1.0-os.html

Decoding gives these, so that encoding what was decoded gives the same type back. A plain `int` is written as a long,
a `float` as a double, a `str` as a string, `bytes` as a binary.
"""

from dataclasses import dataclass


class Malformed(Exception):
    """Bytes that are not AMQP."""


class UByte(int):
    """An unsigned integer of 8 bits."""


class UShort(int):
    """An unsigned integer of 16 bits."""


class UInt(int):
    """An unsigned integer of 32 bits."""


class ULong(int):
    """An unsigned integer of 64 bits."""


class Byte(int):
    """A signed integer of 8 bits."""


class Short(int):
    """A signed integer of 16 bits."""


class Int(int):
    """A signed integer of 32 bits."""


class Long(int):
    """A signed integer of 64 bits."""


class Timestamp(int):
    """Milliseconds since the epoch."""


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class Symbol(str):
    """ASCII text from a constrained domain, such as the name of an error."""

    __slots__ = ()


class Float(float):
    """A floating-point number of 32 bits."""


class Array(list["Value"]):
    """Values of one type."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is carried, not understood: the decimals.

    :param code: its constructor
    :param data: its bytes
    """

    code: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor, such as a performative or a section of a message."""

    descriptor: "Value"
    value: "Value"


# Containers hold any of these; what a field holds is checked where it is read.
type Value = object
