"""Reads a QR code back from its modules (ISO/IEC 18004), so that a picture can be checked by what a scanner would see.

For pictures we made ourselves: nothing is damaged, so nothing is corrected. Error correction M, versions 7
to 12, which is where ticket codes lie.
"""

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator

import zxingcpp
from PIL import Image

# Version → centres of the alignment patterns, data codewords of each block.
_LAYOUT = {
    7: ([6, 22, 38], [31] * 4),
    8: ([6, 24, 42], [38] * 2 + [39] * 2),
    9: ([6, 26, 46], [36] * 3 + [37] * 2),
    10: ([6, 28, 50], [43] * 4 + [44]),
    11: ([6, 30, 54], [50] + [51] * 4),
    12: ([6, 32, 58], [36] * 6 + [37] * 2),
}
_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_LENGTH_BITS = [(10, 9, 8), (12, 11, 16)]  # numeric, alphanumeric, byte; from version 10 on the second
_MASKS: list[Callable[[int, int], bool]] = [
    lambda r, c: (r + c) % 2 == 0,
    lambda r, c: r % 2 == 0,
    lambda r, c: c % 3 == 0,
    lambda r, c: (r + c) % 3 == 0,
    lambda r, c: (r // 2 + c // 3) % 2 == 0,
    lambda r, c: r * c % 2 + r * c % 3 == 0,
    lambda r, c: (r * c % 2 + r * c % 3) % 2 == 0,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2 == 0,
]
type Modules = list[list[bool]]


def read_svg(svg: str) -> str:
    """The text of the QR code in `svg`, drawn as dark rectangles of one path."""
    drawn = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+Z", svg)
    rectangles = [tuple(int(number) for number in rectangle) for rectangle in drawn]
    unit = math.gcd(*(number for rectangle in rectangles for number in rectangle))
    dark = {
        (row, column)
        for x, y, width, height in rectangles
        for row in range(y // unit, (y + height) // unit)
        for column in range(x // unit, (x + width) // unit)
    }
    top, start = min(row for row, _ in dark), min(column for _, column in dark)
    size = max(row for row, _ in dark) - top + 1
    return _text([[(top + row, start + column) in dark for column in range(size)] for row in range(size)])


def read_png(png: bytes) -> str:
    """The text of the one QR code in a PNG, as a scanner's library reads it."""
    picture = Image.open(io.BytesIO(png)).convert("L")
    [found] = zxingcpp.read_barcodes(picture)
    assert found.valid
    return found.text


def _text(modules: Modules) -> str:
    size = len(modules)
    version = (size - 17) // 4
    centres, blocks = _LAYOUT[version]
    # The format's first five bits: two of error correction (M is 00), three of the mask; all masked with 10101.
    told = _number(modules[8][column] for column in range(5)) ^ 0b10101
    assert told >> 3 == 0, "not error correction M"
    mask = _MASKS[told & 0b111]
    bits = [modules[row][column] != mask(row, column) for row, column in _places(size, centres)]
    words = [_number(bits[at : at + 8]) for at in range(0, len(bits) - 7, 8)]
    return _message(_in_order(words, blocks), version)


def _places(size: int, centres: list[int]) -> Iterator[tuple[int, int]]:
    """Where data lies, in its order: pairs of columns from the right, up and down by turns."""
    upwards = True
    for right in [*range(size - 1, 6, -2), 5, 3, 1]:
        for step in range(size):
            row = size - 1 - step if upwards else step
            for column in (right, right - 1):
                if not _is_function(row, column, size, centres):
                    yield row, column
        upwards = not upwards


def _is_function(row: int, column: int, size: int, centres: list[int]) -> bool:
    """Whether the module belongs to a pattern: finders and format, timing, version, alignment."""
    near_top, near_left = row < 9, column < 9
    if (near_top and near_left) or (near_top and column >= size - 8) or (row >= size - 8 and near_left):
        return True
    if 6 in {row, column} or (row < 6 and column >= size - 11) or (column < 6 and row >= size - 11):
        return True
    first, last = centres[0], centres[-1]
    corners = {(first, first), (first, last), (last, first)}
    return any(abs(row - y) <= 2 and abs(column - x) <= 2 for y in centres for x in centres if (y, x) not in corners)


def _in_order(words: list[int], blocks: list[int]) -> list[int]:
    """Codewords are dealt to the blocks in turn, the longer ones last."""
    dealt: list[list[int]] = [[] for _ in blocks]
    rest = iter(words)
    for turn in range(max(blocks)):
        for block, length in zip(dealt, blocks, strict=True):
            if turn < length:
                block.append(next(rest))
    return [word for block in dealt for word in block]


def _message(words: list[int], version: int) -> str:
    """The text of all segments: digits by threes, letters by twos, bytes one by one."""
    bits = "".join(f"{word:08b}" for word in words)
    at, text = 0, ""

    def take(number: int) -> int:
        nonlocal at
        at += number
        return int(bits[at - number : at], 2)

    while len(bits) - at >= 4 and (mode := take(4)):
        numeric, alphanumeric, single = _LENGTH_BITS[version >= 10]
        if mode == 1:
            count = take(numeric)
            parts = [3] * (count // 3) + ([count % 3] if count % 3 else [])
            text += "".join(f"{take((4, 7, 10)[part - 1]):0{part}}" for part in parts)
        elif mode == 2:
            count = take(alphanumeric)
            pairs = [divmod(take(11), 45) for _ in range(count // 2)]
            text += "".join(_ALPHANUMERIC[first] + _ALPHANUMERIC[second] for first, second in pairs)
            text += _ALPHANUMERIC[take(6)] if count % 2 else ""
        else:
            assert mode == 4, f"mode {mode}"
            text += bytes(take(8) for _ in range(take(single))).decode()
    return text


def _number(bits: Iterable[bool]) -> int:
    value = 0
    for bit in bits:
        value = value << 1 | bit
    return value
