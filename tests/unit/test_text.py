"""Text as people look for it."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.text import folded, words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zürich", "ZURICH"),
        ("Zürich", "Zu\u0308rich"),
        ("Straße", "STRASSE"),
        ("ẞ", "ss"),
        ("İzmir", "ızmir"),
        ("Łódź", "lodz"),
        ("Århus", "arhus"),
        ("Đorđe Þór", "djordje thor".replace("dj", "d")),
        ("Œuvre d’Ænima", "oeuvre d’aenima"),
        ("ﬁne", "FINE"),
        ("ｆｕｌｌ", "full"),
        ("ΕΛΛΆΣ", "Ελλάς"),
        ("ёж", "ЕЖ"),
        ("Konzert\u00adhaus", "konzerthaus"),
        ("  a \t\n b ", "A B"),
        ("\u212b", "å"),
        ("❤\ufe0f", "❤"),
        ("葛\U000e0100飾", "葛飾"),
        ("1\ufe0f\u20e3", "1"),
    ],
)
def test_what_people_take_for_the_same_is_folded_alike(one: str, other: str) -> None:
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("Bern", "Berne"), ("a b", "ab"), ("o", "0"), ("é", "ë f"), ("一", "二")])
def test_what_differs_stays_different(one: str, other: str) -> None:
    assert folded(one) != folded(other)


def test_no_character_changes_when_it_is_folded_again() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) != "Cs"]

    changed = {c: once for c in every if (once := folded(c)) != c}
    assert len(changed) > 1_000
    assert [c for c, once in changed.items() if folded(once) != once] == []


@given(st.text(max_size=30))
def test_folding_again_changes_nothing_and_words_are_parts_of_the_folded_text(text: str) -> None:
    once = folded(text)

    assert folded(once) == once
    assert all(word in once and word and not set(word) & set(" ,.!?-'") for word in words(text))


@pytest.mark.parametrize(
    ("text", "number"),
    [("हिन्दी संगीत समारोह मुंबई", 4), ("เทศกาลดนตรี กรุงเทพฯ น้ำ", 3), ("தமிழ் இசை", 2), ("❤\ufe0f #\ufe0f\u20e3", 0)],
)
def test_a_word_does_not_end_at_its_vowel_signs(text: str, number: int) -> None:
    assert len(words(text)) == number


@pytest.mark.parametrize(("one", "other"), [("कि", "की"), ("कि", "क"), ("ดี", "ดา"), ("น้ำ", "นา")])
def test_words_with_other_vowel_signs_are_other_words(one: str, other: str) -> None:
    assert words(one) != words(other)


def test_punctuation_separates_words() -> None:
    assert words("Rock’n’Roll (live!), 100 % à-la_carte… 中文") == [
        "rock",
        "n",
        "roll",
        "live",
        "100",
        "a",
        "la_carte",
        "中文",
    ]
    assert words(" \0?! ") == []
