"""What functions did, against what their service may do: whatever Azure would refuse is named."""

from collections import Counter

import pytest

from shared.telemetry import charge, sent_to, use_case
from shared.telemetry.prometheus import exposition
from tests.support.grants import asked, overstepped, sent, services


@pytest.fixture(autouse=True)
def _nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.metrics._charges", {})
    monkeypatch.setattr("shared.telemetry.metrics._sends", Counter())


def told(function: str) -> str:
    """What a process tells after `function` read people, wrote mail, and sent an event and a report of a payment."""
    token = use_case.set(function)
    charge("people", "read")
    charge("mail", "write")
    sent_to("events", 2)
    sent_to("payments", 1)
    use_case.reset(token)
    return exposition().decode()


def test_calls_and_sendings_are_read_from_what_a_process_tells() -> None:
    text = told("relay_orders")
    assert asked(text) == {("relay_orders", "people", "read"), ("relay_orders", "mail", "write")}
    assert sent(text) == {("relay_orders", "events"), ("relay_orders", "payments")}


def test_who_is_granted_it_all_oversteps_nothing() -> None:
    assert overstepped(told("relay_orders")) == []


def test_what_azure_would_refuse_is_named() -> None:
    assert overstepped(told("record_event")) == [
        "insights: record_event sends events",
        "insights: record_event sends payments",
        "insights: record_event write mail",
    ]


def test_a_destination_taken_from_a_service_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = services()["workers"]
    monkeypatch.setitem(workers, "sends", [name for name in workers["sends"] if name != "events"])
    assert overstepped(told("relay_orders")) == ["workers: relay_orders sends events"]
