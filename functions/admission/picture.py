"""A ticket as a picture, for a phone's photos or for paper: the event, the place, who it is for, and the QR code. Pure.

Everything people wrote may be long or foreign: it is wrapped, then cut with an ellipsis, so that nothing ever reaches
the code. The fonts come with us, since a function's machine has none. They have Latin, Greek, Cyrillic and some more;
Chinese, Japanese, Korean, Thai or Devanagari are drawn as boxes, and who reads only boxes has the number and the code.
"""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from functions.admission.codes import qr_png
from functions.admission.tickets import Ticket

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

WIDTH: Final = 800
HEIGHT: Final = 1280
_MARGIN: Final = 64
TORN_AT: Final = 520
GAP: Final = 40
FONTS: Final = Path(__file__).parent / "fonts"
_RED, _INK, _QUIET, _PAPER, _LINE, _WHITE = "#8a2b3f", "#1c1b22", "#5c5964", "#f4f1ea", "#c9c2b4", "#ffffff"
_REGULAR, _BOLD = "DejaVuSansCondensed.ttf", "DejaVuSansCondensed-Bold.ttf"
_ELLIPSIS: Final = "…"


def ticket_png(ticket: Ticket, code: str) -> bytes:
    """The picture, a PNG of `WIDTH` by `HEIGHT` pixels.

    :param code: the ticket's signed code
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    _draw_paper(draw)
    _draw_event(draw, ticket)
    _draw_holder(draw, ticket)
    code_picture = Image.open(io.BytesIO(qr_png(code)))
    side = code_picture.width
    picture.paste(code_picture.convert("RGB"), ((WIDTH - side) // 2, TORN_AT + GAP))
    _line(draw, 1180, f"{ticket.number}", _font(_BOLD, 34), _INK, middle=True)
    written = io.BytesIO()
    # A palette would halve the bytes, and choosing it takes twice the time of everything else.
    picture.save(written, "PNG", compress_level=3)
    return written.getvalue()


def fitted(text: str, font: "FreeTypeFont", *, width: int, lines_max: int) -> list[str]:
    """The text in at most `lines_max` lines of `width` pixels, broken between words where it can be.

    What does not fit ends in an ellipsis.
    """
    words = text.replace("\0", " ").split()
    lines: list[str] = []
    while words and len(lines) < lines_max:
        line = words.pop(0)
        while words and font.getlength(f"{line} {words[0]}") <= width:
            line = f"{line} {words.pop(0)}"
        kept = _kept(line, font, width)
        if kept < len(line):
            words.insert(0, line[kept:])
        lines.append(line[:kept])
    if words:
        last = lines[-1]
        lines[-1] = last[: _kept(last, font, width - int(font.getlength(_ELLIPSIS)))].rstrip() + _ELLIPSIS
    return lines


def _kept(text: str, font: "FreeTypeFont", width: int) -> int:
    """How many characters of a text fit in one line, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width else (low, middle - 1)
    return low


def _draw_paper(draw: "ImageDraw") -> None:
    draw.rounded_rectangle((24, 24, WIDTH - 24, HEIGHT - 24), 28, _WHITE)
    draw.rounded_rectangle((24, 24, WIDTH - 24, 132), 28, _RED, corners=(True, True, False, False))
    draw.text((_MARGIN, 62), "T E S S E R A", font=_font(_BOLD, 30), fill=_WHITE)
    for x in range(_MARGIN, WIDTH - _MARGIN, 20):
        draw.line((x, TORN_AT, x + 10, TORN_AT), _LINE, 3)
    for x in (24, WIDTH - 24):
        draw.ellipse((x - 18, TORN_AT - 18, x + 18, TORN_AT + 18), _PAPER)


def _draw_event(draw: "ImageDraw", ticket: Ticket) -> None:
    event, width = ticket.event, WIDTH - 2 * _MARGIN
    starts = event.starts_at.astimezone(ZoneInfo(event.timezone))
    [sold_by] = fitted(event.organiser_name, _font(_REGULAR, 24), width=360, lines_max=1) or [""]
    draw.text((WIDTH - _MARGIN, 78), sold_by, font=_font(_REGULAR, 24), fill=_WHITE, anchor="rm")
    y = _block(draw, 160, fitted(event.name, _font(_BOLD, 48), width=width, lines_max=3), _font(_BOLD, 48), _INK)
    y = _block(draw, y + 12, [f"{starts:%A, %d %B %Y, %H:%M}"], _font(_BOLD, 28), _INK)
    place = ", ".join(part for part in (event.venue, event.address, event.city) if part)
    small = _font(_REGULAR, 26)
    _block(draw, y + 2, fitted(place, small, width=width, lines_max=2), small, _QUIET)
    _line(draw, TORN_AT - 44, f"Times are local ({event.timezone})", _font(_REGULAR, 20), _QUIET)


def _draw_holder(draw: "ImageDraw", ticket: Ticket) -> None:
    """Below the code: which kind of ticket and whose."""
    width = WIDTH - 2 * _MARGIN
    large, small = _font(_BOLD, 40), _font(_REGULAR, 30)
    below = TORN_AT + GAP + 456
    for line in fitted(ticket.ticket_type, large, width=width, lines_max=1):
        _line(draw, below + 20, line, large, _RED, middle=True)
    for line in fitted(ticket.holder, small, width=width, lines_max=1):
        _line(draw, below + 84, line, small, _INK, middle=True)


def _block(draw: "ImageDraw", y: int, lines: Sequence[str], font: "FreeTypeFont", colour: str) -> int:
    """Lines below each other; where the next would begin."""
    for line in lines:
        _line(draw, y, line, font, colour)
        y += round(font.size * 1.25)
    return y


def _line(draw: "ImageDraw", y: int, text: str, font: "FreeTypeFont", colour: str, *, middle: bool = False) -> None:
    draw.text((WIDTH // 2 if middle else _MARGIN, y), text, font=font, fill=colour, anchor="ma" if middle else "la")


@cache
def _font(name: str, size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(FONTS / name, size)
