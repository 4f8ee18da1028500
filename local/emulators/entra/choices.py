"""What people may choose as their password, name and address; each answers the key of what is wrong, or None."""

import re
import unicodedata
from pathlib import Path

from local.emulators.entra.passwords import PASSWORD_CHARACTERS_MAX

PASSWORD_CHARACTERS_MIN = 10
NAME_CHARACTERS_MAX = 100
EMAIL_CHARACTERS_MAX = 254
_DIFFERENT_CHARACTERS_MIN = 5
_COMMON = frozenset((Path(__file__).parent / "common_passwords.txt").read_text().split())
# As browsers check `type=email`, but with a dot in the domain.
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


def wrong_with_password(password: str, email: str) -> str | None:
    """Length counts, and what everybody tries first is refused; kinds of characters do not (NIST SP 800-63B)."""
    lowered = password.strip().lower()
    if len(password) < PASSWORD_CHARACTERS_MIN:
        return "password-short"
    if len(password) > PASSWORD_CHARACTERS_MAX:
        return "password-long"
    if email.lower() in lowered or lowered == email.partition("@")[0].lower():
        return "password-address"
    if lowered in _COMMON or len(set(lowered)) < _DIFFERENT_CHARACTERS_MIN:
        return "password-common"
    return None


def wrong_with_email(email: str) -> str | None:
    """An address that mail can be sent to, as far as its letters tell."""
    fits = len(email) <= EMAIL_CHARACTERS_MAX and _EMAIL.fullmatch(email)
    return None if fits else "email-wrong"


def wrong_with_name(name: str) -> str | None:
    """Any name people have, but no invisible characters."""
    if not name:
        return "name-missing"
    if len(name) > NAME_CHARACTERS_MAX:
        return "name-long"
    return "name-wrong" if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in name) else None
