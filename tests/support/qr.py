"""Reads a QR code back from its modules (ISO/IEC 18004), so that a picture can be checked by what a scanner would see.

For pictures we made ourselves: nothing is damaged, so nothing is corrected. Byte mode, error correction M, versions 7
to 12, which is where ticket codes lie.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from xml.etree import ElementTree

# Version → centres of the alignment patterns, data codewords of each block.
_LAYOUT = {
    7: ([6, 22, 38], [31] * 4),
    8: ([6, 24, 42], [38] * 2 + [39] * 2),
    9: ([6, 26, 46], [36] * 3 + [37] * 2),
    10: ([6, 28, 50], [43] * 4 + [44]),
    11: ([6, 30, 54], [50] + [51] * 4),
    12: ([6, 32, 58], [36] * 6 + [37] * 2),
}
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
    """The text of the QR code in `svg`, drawn as horizontal strokes of one path."""
    root = ElementTree.fromstring(svg)  # noqa: S314  # our own answer
    path = next(element.get("d", "") for element in root.iter() if element.tag.endswith("path"))
    dark: set[tuple[int, int]] = set()
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        values = [float(number) for number in re.findall(r"-?\d*\.?\d+", numbers)]
        if command == "h":
            dark |= {(int(y), int(x) + step) for step in range(int(values[0]))}
            x += values[0]
        else:
            x, y = (values[0], values[1]) if command == "M" else (x + values[0], y + values[1])
    top, start = min(row for row, _ in dark), min(column for _, column in dark)
    size = max(row for row, _ in dark) - top + 1
    return _text([[(top + row, start + column) in dark for column in range(size)] for row in range(size)])


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
    return _message(_in_order(words, blocks), 8 if version < 10 else 16).decode()


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


def _message(words: list[int], length_bits: int) -> bytes:
    bits = "".join(f"{word:08b}" for word in words)
    assert bits.startswith("0100"), "not byte mode"
    begin = 4 + length_bits
    length = int(bits[4:begin], 2)
    return bytes(int(bits[at : at + 8], 2) for at in range(begin, begin + 8 * length, 8))


def _number(bits: Iterable[bool]) -> int:
    value = 0
    for bit in bits:
        value = value << 1 | bit
    return value
