"""Text as people look for it: without case, accents and typographic variants."""

import re
import unicodedata
from typing import Final

# Letters that Unicode does not take apart, though people without them on their keyboard write them so.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_WORD: Final = re.compile(r"\w+")


def folded(text: str) -> str:
    """`text` as it is compared: `Zürich` and `ZURICH` are one, as are `Straße` and `STRASSE`.

    Compatibility forms are taken apart (Unicode NFKD), accents and invisible format characters dropped, case folded,
    and blanks brought to one between words. Folding what is folded changes nothing.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    bare = "".join(filter(_kept, unicodedata.normalize("NFKD", text)))
    return " ".join(bare.casefold().translate(_PLAIN).split())


def words(text: str) -> list[str]:
    """The words of `text`, folded: runs of letters and digits; punctuation only separates."""
    return _WORD.findall(folded(text))


def _kept(character: str) -> bool:
    return not unicodedata.combining(character) and unicodedata.category(character) != "Cf"
