"""The last look at what leaves: nothing personal and no secret, whatever a caller put in by mistake.

The first guard is that callers name what they tell (ids, words from small sets) and that exceptions are told by their
class alone. This is the second: fields whose name speaks of a person or a secret are emptied, and what looks like a
mail address, a card, a token or a query string is cut out of any text.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

REMOVED: Final = "[removed]"
DEPTH_MAX: Final = 12
TEXT_CHARACTERS_MAX: Final = 1_000  # what is longer is cut; the patterns take quadratic time for what fits none of them
TEXTS_REMEMBERED_MAX: Final = 1_024  # names, routes and outcomes are always the same
# Any word of a field's name; `buyerEmail` and `buyer_email` have two.
WORDS: Final = frozenset({
    "address", "authorization", "buyer", "card", "cookie", "customer", "cvc", "cvv", "email", "firstname", "fullname",
    "holder", "iban", "ip", "lastname", "mail", "nickname", "password", "passwd", "person", "phone", "pin", "recipient",
    "secret", "sender", "signature", "street", "surname", "telephone", "token", "url", "username",
})  # fmt: skip
# The whole name: words that are harmless as part of another (`status_code`, `message_id`, `function_name`).
NAMES: Final = frozenset({
    "agent", "api_key", "body", "code", "key", "message", "name_of_buyer", "query", "text", "user_agent", "first_name",
    "last_name", "full_name", "given_name", "family_name", "middle_name", "display_name", "user_name", "nick_name",
})  # fmt: skip
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CARD: Final = re.compile(r"(?<!\w)\d(?:[ .-]?\d){12,18}(?!\w)")
_ADDRESS: Final = re.compile(r"[^\s@<>\"',;:()\[\]]+(?:@|%40)[^\s@<>\"',;:()\[\]]+\.[^\s@<>\"',;:()\[\]]+")
_PATTERNS: Final = (
    re.compile(r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"),  # a JSON Web Token
    re.compile(
        r"\b(?:(?:sk|rk|pk)_(?:test|live)_\w+|whsec_\w+"  # the payment provider's keys
        r"|tsk_[a-z2-7]{26}_\w+"  # tokens of service keys; their ids, which are shorter, stay
        r"|inv_[a-z2-7]{26}\.[a-z2-7]+\.[0-9a-f]+"  # codes of invitations
        r"|T1\.[0-9a-f]{4}\.\S+)"  # codes of tickets
    ),
    re.compile(r"(?i)\bbearer\s+\S+"),
    re.compile(r"\?[^\s\"']*"),  # a query string
)


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def scrubbed_text(text: str) -> str:
    """The text without what must not leave, at most about `TEXT_CHARACTERS_MAX` long."""
    if len(text) > TEXT_CHARACTERS_MAX:
        text = _cut(text)
    if "@" in text or "%40" in text:
        text = _ADDRESS.sub(REMOVED, text)
    for pattern in _PATTERNS:
        text = pattern.sub(REMOVED, text)
    return _CARD.sub(lambda found: REMOVED if _adds_up(found.group()) else found.group(), text)


def scrubbed(value: Any, *, depth: int = 0) -> Any:
    """A copy of a JSON value without what must not leave; deeper than `DEPTH_MAX` nothing is kept.

    :param value: of mappings, sequences, texts and numbers
    """
    if isinstance(value, str):
        return scrubbed_text(value)
    if depth >= DEPTH_MAX:
        return REMOVED
    if isinstance(value, Mapping):
        return {
            key: REMOVED if value[key] and _speaks(str(key)) else scrubbed(value[key], depth=depth + 1) for key in value
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [scrubbed(each, depth=depth + 1) for each in value]
    return value


def scrubbed_texts(value: Any, *, depth: int = 0) -> Any:
    """As `scrubbed`, but whatever the fields are called: for log lines, whose fields our own code names.

    :param value: what JSON can say, and what is told as its `str`
    """
    if value is None or isinstance(value, int | float | date):
        return value
    if depth >= DEPTH_MAX:
        return REMOVED
    if isinstance(value, Mapping):
        return {str(key): scrubbed_texts(value[key], depth=depth + 1) for key in value}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrubbed_texts(each, depth=depth + 1) for each in value]
    return scrubbed_text(str(value))


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def _speaks(name: str) -> bool:
    """Whether a field of this name speaks of a person or a secret; the id of one is as good as any other id."""
    words = [word.lower() for word in _WORD.findall(name)]
    if "_".join(words) in NAMES:
        return True
    return bool(words) and words[-1] != "id" and not WORDS.isdisjoint(words)


def _cut(text: str) -> str:
    """The beginning of a text, up to a blank, and without the digits before it: half of an address would stay else."""
    words, blank, _ = text[:TEXT_CHARACTERS_MAX].rpartition(" ")
    return f"{words.rstrip('0123456789 .-')}{blank}…"


def _adds_up(number: str) -> bool:
    """Whether the digits could be a card's: its last one checks the others (ISO/IEC 7812, Luhn's algorithm)."""
    total = 0
    for place, digit in enumerate(reversed([int(each) for each in number if each.isdigit()])):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
