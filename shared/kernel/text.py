"""Text as people look for it: without case, accents and typographic variants."""

import unicodedata
from typing import Final

# Letters that Unicode does not take apart, though people without them on their keyboard write them so.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_INVISIBLE: Final = frozenset({"Cf", "Me"})  # format characters; circles and keycaps drawn around a character


def folded(text: str) -> str:
    """`text` as it is compared: `Zürich` and `ZURICH` are one, as are `Straße` and `STRASSE`.

    Compatibility forms are taken apart (Unicode NFKD), accents, invisible format characters and variation selectors
    dropped, case folded, and blanks brought to one between words. Vowel signs, which are marks of combining class 0,
    stay. Folding what is folded changes nothing.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    bare = "".join(filter(_kept, unicodedata.normalize("NFKD", text)))
    return " ".join(bare.casefold().translate(_PLAIN).split())


def words(text: str) -> list[str]:
    """The words of `text`, folded: runs of letters, their marks and digits; punctuation only separates."""
    return "".join(character if _in_word(character) else " " for character in folded(text)).split()


def _in_word(character: str) -> bool:
    # The vowels of Devanagari or Thai are marks: no letters to Python, but a word does not end at them.
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def _kept(character: str) -> bool:
    if unicodedata.combining(character) or unicodedata.category(character) in _INVISIBLE:
        return False
    return not ("\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef")
