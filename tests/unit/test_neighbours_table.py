"""docs/neighbours.md says of every neighbour what the code does."""

from datetime import timedelta
from pathlib import Path

from functions.notifications.outbound import CLAIM
from shared.auth.authorities import (
    FAILED_INTERVAL,
    FETCH_SECONDS_MAX,
    FRESH,
    KEPT,
    KEY_BITS_MIN,
    REFRESH_INTERVAL,
    WAITING_MAX,
)
from shared.breaker import FAILURES_MAX, OPEN_SECONDS
from shared.bus import servicebus_client
from shared.directory import graph_client
from shared.mail.smtp import COMMAND_SECONDS_MAX, SEND_SECONDS_MAX
from shared.payments.stripe import NETWORK_RETRIES_MAX, WEBHOOK_TOLERANCE_SECONDS, Patience
from shared.retry import RETRY_SECONDS_MAX, WRITE_ATTEMPTS_MAX
from shared.sqlite.group_commit import TURN_SECONDS_MAX
from shared.store import cosmos_account
from shared.telemetry.connection import ANSWER_SECONDS_MAX
from shared.web.triggers import COPY_PAUSE_SECONDS, COPY_TRIES_MAX, POSTPONE_SECONDS_MAX, POSTPONED_MAX

PAGE = (Path(__file__).parents[2] / "docs" / "neighbours.md").read_text()
FUNCTION_SECONDS = 300  # functionTimeout and maxAutoLockRenewalDuration in host.json
NOTHING = "–"


def seconds(value: float | timedelta) -> str:
    """As the page writes a time."""
    return f"{value.total_seconds() if isinstance(value, timedelta) else value:g} s"


def rows() -> dict[str, list[str]]:
    """The first table: neighbour → its cells."""
    lines = PAGE.split("\n\n")[2].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: rest for name, *rest in cells}


def test_the_table_of_budgets_is_what_the_code_does() -> None:
    stripe, breaker = Patience(), [f"{FAILURES_MAX} failures", seconds(OPEN_SECONDS)]
    graph = graph_client.Patience()
    assert rows() == {
        "Stripe's API": [
            seconds(stripe.connect_seconds), seconds(stripe.answer_seconds), str(NETWORK_RETRIES_MAX + 1),
            seconds(stripe.call_seconds), *breaker,
        ],
        "mail server": [
            seconds(COMMAND_SECONDS_MAX), seconds(COMMAND_SECONDS_MAX), "1", seconds(SEND_SECONDS_MAX), *breaker
        ],
        "Microsoft Graph": [
            seconds(graph.connect_seconds), seconds(graph.answer_seconds), str(graph_client.TRIES_AGAIN_MAX + 1),
            seconds(graph.call_seconds), *breaker,
        ],
        "sign-in keys": [
            seconds(FETCH_SECONDS_MAX), seconds(FETCH_SECONDS_MAX), "1", seconds(FETCH_SECONDS_MAX), "1 failure",
            seconds(FAILED_INTERVAL),
        ],
        "Cosmos DB": [
            seconds(cosmos_account.CONNECT_SECONDS), seconds(cosmos_account.ANSWER_SECONDS), str(WRITE_ATTEMPTS_MAX),
            seconds(RETRY_SECONDS_MAX), *breaker,
        ],
        "Service Bus": [
            NOTHING, seconds(servicebus_client.TRY_SECONDS_MAX), str(servicebus_client.TRIES_AGAIN_MAX + 1),
            seconds(servicebus_client.CALL_SECONDS_MAX), *breaker,
        ],
        "store in a file": [
            NOTHING, seconds(TURN_SECONDS_MAX), str(WRITE_ATTEMPTS_MAX), seconds(RETRY_SECONDS_MAX), "none", NOTHING
        ],
        "bus in a file": [NOTHING, seconds(TURN_SECONDS_MAX), "1", seconds(TURN_SECONDS_MAX), "none", NOTHING],
        "Application Insights": [
            seconds(ANSWER_SECONDS_MAX), seconds(ANSWER_SECONDS_MAX), "1", seconds(ANSWER_SECONDS_MAX), "none", NOTHING
        ],
        "webhook sender": [NOTHING, NOTHING, NOTHING, seconds(WEBHOOK_TOLERANCE_SECONDS), "none", NOTHING],
    }  # fmt: skip


def test_the_prose_says_how_messages_and_claims_wait() -> None:
    prose = " ".join(PAGE.split())
    assert f"at most {seconds(POSTPONE_SECONDS_MAX)}, without limit" in prose
    assert f"is looked for {POSTPONED_MAX} times" in prose
    assert f"is tried {COPY_TRIES_MAX} times, at least {seconds(COPY_PAUSE_SECONDS)} apart" in prose
    assert f"a mail is claimed for {seconds(CLAIM)}" in prose
    assert f"they are {FRESH.total_seconds() / 60:g} minutes old" in prose
    assert f"at most every {seconds(REFRESH_INTERVAL)}: so a rotated key" in prose
    assert f"no RSA key of {KEY_BITS_MIN:,} bits" in prose
    assert f"the last good keys stay for {KEPT.total_seconds() / 3600:g} h" in prose
    assert f"share one question, at most {WAITING_MAX} of them" in prose
    assert prose.count(seconds(TURN_SECONDS_MAX)) >= 2
    assert f"A call of the store ends within {seconds(cosmos_account.CALL_SECONDS)}" in prose
    pause, tries = seconds(cosmos_account.THROTTLED_SECONDS), cosmos_account.THROTTLED_TRIES
    assert f"at most {pause} a pause and {tries} times" in prose


def test_the_budgets_fit_into_each_other() -> None:
    stripe = Patience()
    tries = NETWORK_RETRIES_MAX + 1
    assert stripe.connect_seconds < stripe.answer_seconds
    assert stripe.answer_seconds * tries < stripe.call_seconds  # with the pauses between them
    graph = graph_client.Patience()
    assert graph.connect_seconds < graph.answer_seconds
    asking = (
        graph.answer_seconds * (graph_client.TRIES_AGAIN_MAX + 1) + graph.pause_seconds * graph_client.TRIES_AGAIN_MAX
    )
    assert asking < graph.call_seconds
    assert cosmos_account.CONNECT_SECONDS < cosmos_account.ANSWER_SECONDS < cosmos_account.CALL_SECONDS
    assert cosmos_account.CALL_SECONDS <= RETRY_SECONDS_MAX
    copying = COPY_TRIES_MAX * (servicebus_client.CALL_SECONDS_MAX + 1.5 * COPY_PAUSE_SECONDS)
    assert 2 * copying < FUNCTION_SECONDS  # what the function did before has as much again
    assert servicebus_client.TRY_SECONDS_MAX < servicebus_client.CALL_SECONDS_MAX
    assert (
        COMMAND_SECONDS_MAX < SEND_SECONDS_MAX < CLAIM.total_seconds()
    )  # a claim must not lapse while its mail is sent
