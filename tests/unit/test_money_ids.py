"""The kernel: money, ids, moments, refusals."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.kernel.clock import Moment, stamp, utc_now
from shared.kernel.errors import Contended, DomainError, Kind
from shared.kernel.ids import ID_PATTERN, derived_id, person_id_of, random_id
from shared.kernel.money import Money

moments = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


# Money


@given(st.integers(0, 10**9), st.integers(0, 50))
def test_a_multiple_is_exact(amount: int, times: int) -> None:
    assert Money(amount_minor=amount, currency="EUR").times(times) == Money(amount_minor=amount * times, currency="EUR")


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (0, "EUR", "0.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (123_456, "USD", "1234.56 USD"),
        (500, "JPY", "500 JPY"),
    ],
)
def test_money_is_written_with_its_currencys_digits(amount: int, currency: str, written: str) -> None:
    assert str(Money(amount_minor=amount, currency=currency)) == written


@pytest.mark.parametrize("amount", [-1, 1.0, "1", True, None])
def test_money_is_a_whole_number_of_minor_units(amount: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount_minor": amount, "currency": "EUR"})


@pytest.mark.parametrize("currency", ["eur", "EURO", "E1R", "", None])
def test_a_currency_is_three_capital_letters(currency: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount_minor": 1, "currency": currency})


# Ids


@given(st.lists(st.text(max_size=20), max_size=4))
def test_a_derived_id_is_always_the_same_and_well_formed(parts: list[str]) -> None:
    assert derived_id("ord", *parts) == derived_id("ord", *parts)
    assert re.match(ID_PATTERN, derived_id("ord", *parts))


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_other_parts_give_another_id_however_they_join(one: list[str], other: list[str]) -> None:
    assert (derived_id("ord", *one) == derived_id("ord", *other)) == (one == other)


def test_random_ids_differ_and_are_well_formed() -> None:
    ids = {random_id("evt") for _ in range(1_000)}

    assert len(ids) == 1_000
    assert all(re.match(ID_PATTERN, each) for each in ids)


def test_a_subject_is_a_person_only_together_with_its_issuer() -> None:
    assert person_id_of("https://a", "1") != person_id_of("https://b", "1")


# Moments


@given(moments, moments)
def test_written_moments_sort_like_time(one: datetime, other: datetime) -> None:
    assert (stamp(one) < stamp(other)) == (one < other)


@given(moments)
def test_a_written_moment_is_read_back(moment: datetime) -> None:
    assert datetime.fromisoformat(stamp(moment)) == moment


def test_a_moment_is_kept_in_utc_whatever_offset_it_came_in() -> None:
    class Note(BaseModel):
        at: Moment

    note = Note(at=datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))))

    assert note.model_dump_json() == '{"at":"2026-05-01T12:00:00.000000Z"}'
    with pytest.raises(ValidationError):
        Note.model_validate({"at": "2026-05-01T12:00:00"})


def test_now_has_a_zone() -> None:
    assert utc_now().utcoffset() == timedelta(0)


# Refusals


def test_a_refusal_is_named_after_its_class_and_carries_its_facts() -> None:
    class TooFewChairs(DomainError):
        """There are too few chairs."""

    refusal = TooFewChairs("Bring one.", missing=2)

    assert (TooFewChairs.code(), refusal.detail, dict(refusal.facts)) == (
        "too-few-chairs",
        "Bring one.",
        {"missing": 2},
    )
    assert (refusal.kind, Contended("").kind) == (Kind.CONFLICT, Kind.CONTENDED)
