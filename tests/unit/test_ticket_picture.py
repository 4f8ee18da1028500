"""The ticket as a picture: its code can be read whatever people are called, and their names are written as they are."""

import io
from typing import Any

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from functions.admission import picture
from functions.admission.codes import Codes, qr_png
from functions.admission.picture import HEIGHT, WIDTH, fitted, ticket_png
from functions.admission.tickets import Ticket
from tests.factories import sales
from tests.factories.catalog import NOW
from tests.factories.settings import TICKET_KEY
from tests.support.qr import read_png

CODES = Codes(TICKET_KEY)
CODE_SIDE = 57 * 8
FONT = ImageFont.truetype(picture.FONTS / "DejaVuSansCondensed.ttf", 20)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
LETTERS = "óüéèçñßäöåøłńśźżčřěšžőűğışâêîôûÁÀÖÅĆŚŽİăȘțΩДж€–“”…·×’"


def ticket(*, name: str = "Summer concert", holder: str = "Ada", kind: str = "Adult", **event: Any) -> Ticket:
    """A valid ticket."""
    issued = sales.order().tickets(NOW)[0]
    facts = issued.event.model_copy(update={"name": name, **event})
    return issued.model_copy(update={"event": facts, "holder": holder, "ticket_type": kind})


def middle(png: bytes) -> bytes:
    """The picture from where it can be torn to below the code."""
    bottom = picture.TORN_AT + picture.GAP + CODE_SIDE
    return Image.open(io.BytesIO(png)).crop((0, picture.TORN_AT - 20, WIDTH, bottom)).tobytes()


def test_the_bare_code_is_black_and_white_and_can_be_read() -> None:
    code = CODES.sign(ticket())

    png = qr_png(code)

    symbol = zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.QRCode, ec_level="M", data_mask=3).to_image(scale=1)
    modules = Image.frombytes("L", (57, 57), bytes(memoryview(symbol)))
    shown = Image.open(io.BytesIO(png))
    assert (shown.mode, shown.size) == ("1", (CODE_SIDE, CODE_SIDE))
    assert shown.convert("L").tobytes() == modules.resize(shown.size, Image.Resampling.NEAREST).tobytes()
    assert read_png(png) == code


def test_a_ticket_can_be_read_from_its_picture() -> None:
    code = CODES.sign(ticket())

    png = ticket_png(ticket(), code)

    assert Image.open(io.BytesIO(png)).size == (WIDTH, HEIGHT)
    assert read_png(png) == code
    assert CODES.read(read_png(png)).number == ticket().number


@pytest.mark.parametrize(
    "changed",
    [{"name": "Ein Abend in Kraków " * 30}, {"name": "W" * 500}, {"holder": "W" * 300}, {"kind": "Reduced " * 50},
     {"venue": "V" * 300, "address": "A" * 300}, {"organiser_name": "O" * 300}, {"organiser_name": "", "holder": ""}],
)  # fmt: skip
def test_nothing_anybody_is_called_reaches_the_code(changed: dict[str, Any]) -> None:
    code = CODES.sign(ticket())

    drawn = ticket_png(ticket(**changed), code)

    assert middle(drawn) == middle(ticket_png(ticket(), code))
    assert read_png(drawn) == code


@pytest.mark.parametrize("name", ["DejaVuSansCondensed.ttf", "DejaVuSansCondensed-Bold.ttf"])
def test_letters_of_europe_are_drawn_as_themselves(name: str) -> None:
    font = ImageFont.truetype(picture.FONTS / name, 40)
    missing = bytes(font.getmask("\uffff"))

    drawn = [bytes(font.getmask(letter)) for letter in LETTERS]

    assert missing not in drawn
    assert len(set(drawn)) == len(LETTERS)
    assert bytes(font.getmask("\U00013000")) == missing, "what the font does not have looks like that"


@settings(max_examples=150)
@given(text=NAMES, width=st.integers(30, 400), lines_max=st.integers(1, 4))
def test_fitted_text_stays_within_its_lines_and_says_when_it_was_cut(text: str, width: int, lines_max: int) -> None:
    lines = fitted(text, FONT, width=width, lines_max=lines_max)

    assert len(lines) <= lines_max
    for line in lines:
        assert FONT.getlength(line) <= width or len(line.removesuffix("…")) <= 1
    whole, shown = "".join(text.replace("\0", " ").split()), "".join("".join(lines).split())
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))
