"""Where a partition key lies: the effective partition key, hashed as Cosmos DB's version 2 does (128 bits).

The hash is Austin Appleby's MurmurHash3, in the public domain; how values are written before hashing follows the SDKs,
which compute the same to route requests.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

UNDEFINED: Final[dict[str, Any]] = {}  # on the wire `{}` stands for "the item has no such property"
MINIMUM: Final = ""
MAXIMUM: Final = "FF"

_MASK = 0xFFFFFFFFFFFFFFFF
_C1 = 0x87C37B91114253D5
_C2 = 0x4CF5AD432745937F


def effective_key(components: Sequence[Any], *, hierarchical: bool) -> str:
    """The effective partition key as upper-case hex: 32 digits, or 32 for each component of a hierarchical key.

    :param components: JSON scalars; `{}` for a missing property
    """
    if hierarchical:
        return "".join(_hashed(_written(component)) for component in components)
    return _hashed(b"".join(map(_written, components)))


def _hashed(data: bytes) -> str:
    low, high = murmur3_128(data)
    digest = bytearray(high.to_bytes(8, "big") + low.to_bytes(8, "big"))
    digest[0] &= 0x3F  # the two highest bits are kept free, so that "FF" lies above every key
    return digest.hex().upper()


def _written(component: Any) -> bytes:
    """A component as bytes: one for its type, then its value."""
    match component:
        case True:
            return b"\x03"
        case False:
            return b"\x02"
        case None:
            return b"\x01"
        case str():
            return b"\x08" + component.encode() + b"\xff"
        case int() | float():
            return b"\x05" + struct.pack("<d", float(component))
        case _:
            return b"\x00"


def murmur3_128(data: bytes) -> tuple[int, int]:
    """MurmurHash3 x64 128 with seed 0: the low and the high half."""
    h1 = h2 = 0
    whole = len(data) & ~15
    for start in range(0, whole, 16):
        k1, k2 = struct.unpack_from("<QQ", data, start)
        h1 = ((_rotated(h1 ^ _first(k1), 27) + h2) * 5 + 0x52DCE729) & _MASK
        h2 = ((_rotated(h2 ^ _second(k2), 31) + h1) * 5 + 0x38495AB5) & _MASK
    rest = data[whole:]
    h1 ^= _first(int.from_bytes(rest[:8], "little"))
    h2 ^= _second(int.from_bytes(rest[8:], "little"))
    h1 ^= len(data)
    h2 ^= len(data)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    h1, h2 = _mixed(h1), _mixed(h2)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    return h1, h2


def _first(k1: int) -> int:
    return (_rotated((k1 * _C1) & _MASK, 31) * _C2) & _MASK


def _second(k2: int) -> int:
    return (_rotated((k2 * _C2) & _MASK, 33) * _C1) & _MASK


def _rotated(value: int, by: int) -> int:
    return ((value << by) | (value >> (64 - by))) & _MASK


def _mixed(value: int) -> int:
    value ^= value >> 33
    value = (value * 0xFF51AFD7ED558CCD) & _MASK
    value ^= value >> 33
    value = (value * 0xC4CEB9FE1A85EC53) & _MASK
    return value ^ (value >> 33)
