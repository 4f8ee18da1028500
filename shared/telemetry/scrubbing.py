"""The last look at what leaves: nothing personal and no secret, whatever a caller put in by mistake.

The first guard is that callers name what they tell (ids, words from small sets) and that exceptions are told by their
class alone. This is the second: fields whose name speaks of a person or a secret are emptied, and what looks like a
mail address, a card, a token or a query string is cut out of any text.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

REMOVED: Final = "[removed]"
DEPTH_MAX: Final = 12
TEXTS_REMEMBERED_MAX: Final = 1_024  # names, routes and outcomes are always the same
FIELDS: Final = frozenset({
    "email", "e_mail", "mail", "to_address", "to_name", "buyer", "holder", "person", "person_name", "name_of_buyer",
    "customer", "phone", "address", "street", "authorization", "token", "access_token", "password", "secret", "key",
    "api_key", "signature", "cookie", "card", "card_number", "card_name", "cvc", "code", "query", "url", "body",
    "message", "text", "ip", "client_ip", "user_agent",
})  # fmt: skip
_CARD: Final = re.compile(r"(?<!\w)\d(?:[ -]?\d){12,18}(?!\w)")
_PATTERNS: Final = (
    re.compile(r"[^\s@<>\"',;:()\[\]]+@[^\s@<>\"',;:()\[\]]+\.[^\s@<>\"',;:()\[\]]+"),  # a mail address
    re.compile(r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"),  # a JSON Web Token
    re.compile(r"\b(?:sk|rk|pk)_(?:test|live)_\w+|\bwhsec_\w+"),  # the payment provider's keys
    re.compile(r"(?i)\bbearer\s+\S+"),
    re.compile(r"\?[^\s\"']*"),  # a query string
)


@lru_cache(maxsize=TEXTS_REMEMBERED_MAX)
def scrubbed_text(text: str) -> str:
    """The text without what must not leave."""
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
            key: REMOVED if str(key).lower() in FIELDS and value[key] else scrubbed(value[key], depth=depth + 1)
            for key in value
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [scrubbed(each, depth=depth + 1) for each in value]
    return value


def _adds_up(number: str) -> bool:
    """Whether the digits could be a card's: its last one checks the others (ISO/IEC 7812, Luhn's algorithm)."""
    total = 0
    for place, digit in enumerate(reversed([int(each) for each in number if each.isdigit()])):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
