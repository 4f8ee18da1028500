"""The words of pages and mails, by language."""

import json
from collections.abc import Callable
from pathlib import Path

LANGUAGES = ("en", "fr")
_LANGUAGES_READ_MAX = 20
_TEXTS: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "texts.json").read_text())


def language_of(accepted: str) -> str:
    """The language to speak to a browser that sends this Accept-Language (RFC 9110 section 12.5.4)."""
    ranked: list[tuple[float, str]] = []
    for part in accepted.split(",")[:_LANGUAGES_READ_MAX]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((float(weight or "1"), tag.partition("-")[0].lower()))
        except ValueError:
            continue
    known = [(weight, tag) for weight, tag in ranked if tag in LANGUAGES and weight > 0]
    return max(known, key=lambda each: each[0])[1] if known else LANGUAGES[0]


def words(language: str) -> Callable[..., str]:
    """Looks texts up by their key, and fills in what they name."""

    def say(key: str, **facts: object) -> str:
        return _TEXTS[language][key].format(**facts)

    return say
