"""Fields that many endpoints read."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from shared.kernel.clock import Moment
from shared.kernel.ids import ID_PATTERN
from shared.web.problem import form, rule_broken

# What browsers take for an address (HTML Living Standard, "valid e-mail address"): nothing a mail header chokes on.
EMAIL_PATTERN: Final = r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-zA-Z0-9-]{1,63}(\.[a-zA-Z0-9-]{1,63}){0,8}$"
_BREAKS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators
_TURNS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # a mail's every sentence with it
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


def one_line(text: str) -> str:
    """`text`, if it can stand in a mail's subject and on a ticket.

    :raises ValueError: it holds line breaks or control characters
    """
    if any(unicodedata.category(character) in _BREAKS for character in text):
        raise rule_broken("must be one line without control characters", "one line of text")
    if not _TURNS.isdisjoint(text):
        raise rule_broken("must not turn the direction of what is around it", "text without Unicode's bidi controls")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise rule_broken("must not be blank", "at least one character that can be seen")
    return text


def _of_this_age(moment: datetime) -> datetime:
    if not _EARLIEST <= moment < _LATEST:
        raise rule_broken(
            "must lie between the years 2000 and 2200", f"{_EARLIEST:%Y-%m-%d} to before {_LATEST:%Y-%m-%d}"
        )
    return moment


type Id = Annotated[str, Field(pattern=ID_PATTERN)]
type Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line), AfterValidator(_not_blank)]
type EmailAddress = Annotated[
    str, Field(max_length=254, pattern=form(EMAIL_PATTERN, "a mail address, e.g. uma@tessera.example"))
]
type PlannedMoment = Annotated[Moment, AfterValidator(_of_this_age)]
"""A moment somebody plans for; what lies centuries away is a slip, and breaks calendars and lifetimes."""
