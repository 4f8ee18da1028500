"""Signing keys: announced before they sign, kept until what they signed has expired."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.emulators.database import Database
from local.emulators.entra.clock import Clock
from local.emulators.entra.keys import ANNOUNCED_SECONDS, SCHEMA, SIGNS_SECONDS, TOKEN_SECONDS, KeyRing


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "entra.sqlite", SCHEMA)
    yield opened
    opened.close()


def published(ring: KeyRing) -> list[str]:
    return [key["kid"] for key in ring.jwks()["keys"]]


def test_the_next_key_is_published_a_day_before_it_signs_and_the_last_one_outlives_its_tokens(
    database: Database,
) -> None:
    clock = Clock()
    ring = KeyRing(database, clock)
    first = ring.current.kid

    clock.advance(SIGNS_SECONDS - ANNOUNCED_SECONDS - 60)
    before = published(ring), ring.current.kid
    clock.advance(120)
    announced = published(ring), ring.current.kid
    clock.advance(ANNOUNCED_SECONDS)
    signing = published(ring), ring.current.kid
    clock.advance(TOKEN_SECONDS - 120)
    kept = published(ring)
    clock.advance(TOKEN_SECONDS)
    dropped = published(ring)
    [_, second] = announced[0]

    assert before == ([first], first)
    assert announced == ([first, second], first)
    assert signing == ([first, second], second)
    assert (kept, dropped) == ([first, second], [second])


def test_after_a_long_rest_the_next_key_is_announced_before_it_signs_too(database: Database) -> None:
    clock = Clock()
    ring = KeyRing(database, clock)
    first = ring.current.kid

    clock.advance(10 * SIGNS_SECONDS)
    woken = published(ring), ring.current.kid
    clock.advance(ANNOUNCED_SECONDS + 1)

    assert woken[0][0] == woken[1] == first
    assert ring.current.kid == woken[0][1] != first


def test_keys_are_the_same_after_a_restart(database: Database) -> None:
    clock = Clock()
    ring = KeyRing(database, clock)
    clock.advance(SIGNS_SECONDS - 60)
    before = published(ring), ring.current.kid

    again = KeyRing(database, clock)

    assert len(before[0]) == 2
    assert (published(again), again.current.kid) == before


def test_a_compromised_key_is_gone_at_once(database: Database) -> None:
    clock = Clock()
    ring = KeyRing(database, clock)
    clock.advance(SIGNS_SECONDS - 60)
    before = published(ring)

    ring.rotate(compromised=True)

    assert published(ring) == [ring.current.kid]
    assert ring.current.kid not in before
