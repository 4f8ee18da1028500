"""How a client wants its pages, read from its headers."""

from typing import Final

from local.emulators.cosmos.errors import Refused

PAGE_DEFAULT: Final = 100  # https://learn.microsoft.com/rest/api/cosmos-db/common-cosmosdb-rest-request-headers
PAGE_MAX: Final = 1_000
_TOKEN_DIGITS_MAX: Final = 2  # kilobytes; no header may be as long as three digits would allow


def page_limit(header: str | None) -> int:
    """How many rows a page may have, from `x-ms-max-item-count`.

    :raises Refused: 400, not a number
    """
    if header is None:
        return PAGE_DEFAULT
    try:
        wanted = int(header)
    except ValueError:
        raise Refused(400, f"Invalid page size {header!r}.") from None
    if wanted == 0 or wanted < -1:
        raise Refused(400, f"Invalid page size {wanted}.")
    return PAGE_MAX if wanted == -1 else min(wanted, PAGE_MAX)


def token_bytes(header: str | None) -> int:
    """How long a continuation token may be, from `x-ms-documentdb-responsecontinuationtokenlimitinkb`; 0: not said.

    :raises Refused: 400, not a number of kilobytes
    """
    if header is None:
        return 0
    if not header.isdecimal() or len(header) > _TOKEN_DIGITS_MAX or int(header) == 0:
        raise Refused(400, f"Invalid limit of a continuation token {header[:20]!r}.")
    return int(header) * 1024
