"""One publication at a time: who comes second waits or is refused, and who died holds up nobody for long."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.infra.cloud import ACCOUNT, APPS, Cloud
from tests.infra.delivery.support import NOW, at, delivered, packed, runs
from tests.support.api import soon
from tools.delivery.azure import AzureFailed
from tools.delivery.lease import LEASE_SECONDS, LOCK, RENEWAL_SECONDS, WAIT_SECONDS, Lease, LeaseLost, Occupied, alone
from tools.delivery.publishing import Publishing

WHERE: Final = ("--account-name", ACCOUNT, "--auth-mode", "login", "--container-name", "releases")


@pytest.fixture
def somebody(cloud: Cloud, publishing: Publishing) -> Lease:
    """Who has had the lease since 0 o'clock, and does nothing more with it."""
    clock(cloud, 0)
    with publishing.releases.alone(lambda _: None, 0.0):
        """So that there is a blob."""
    lease = Lease(cloud.azure, (*WHERE, "--blob-name", LOCK))
    assert lease.acquire()
    return lease


def clock(cloud: Cloud, seconds: float) -> None:
    """Azure's clock stands there."""
    cloud.write("clock", {"now": seconds})


def verbs(commands: Sequence[Sequence[str]]) -> list[str]:
    return [words[3] for words in commands if words[:3] == ["storage", "blob", "lease"]]


def test_who_comes_second_is_refused_and_changes_nothing(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    """It begins while the first one waits for its first app."""
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")
    other = replace(publishing, wait_seconds=0.0)
    refused: list[str] = []

    def meanwhile(said: str) -> None:
        if said.startswith(APPS[0]):
            for begin in (lambda: other.publish(*two, at(13)), lambda: other.go_back(tmp_path, at(13))):
                with pytest.raises(Occupied, match="nothing was changed") as told:
                    begin()
                refused.append(str(told.value))

    replace(publishing, tell=meanwhile).publish(*one, NOW)

    assert len(refused) == 2
    assert runs(publishing) == one[1].version
    assert [*publishing.releases.history().versions] == [one[1].version]
    other.publish(*two, at(14))
    assert runs(publishing) == two[1].version


def test_who_waits_has_its_turn_as_soon_as_the_other_is_done(
    publishing: Publishing, somebody: Lease, tmp_path: Path
) -> None:
    told: list[str] = []

    def waits(said: str) -> None:
        told.append(said)
        somebody.give_back()

    with alone(publishing.azure, WHERE, waits, wait_seconds=60.0, poll_seconds=0.0):
        assert told == ["somebody else publishes here; waiting for up to 60 s …"]


def test_who_died_holds_up_nobody_for_longer_than_is_waited(
    cloud: Cloud, publishing: Publishing, somebody: Lease, tmp_path: Path
) -> None:
    waiting = replace(publishing, wait_seconds=0.0)
    clock(cloud, LEASE_SECONDS - 1)
    with pytest.raises(Occupied):
        delivered(waiting, packed(tmp_path, "one"), 1)

    clock(cloud, LEASE_SECONDS + 1)

    assert runs(publishing) == ""
    assert delivered(waiting, packed(tmp_path, "two"), 2) == runs(publishing)
    assert WAIT_SECONDS > LEASE_SECONDS + RENEWAL_SECONDS


def test_a_lease_is_renewed_for_as_long_as_somebody_publishes(cloud: Cloud, publishing: Publishing) -> None:
    clock(cloud, 0)
    with publishing.releases.alone(lambda _: None, 0.0) as lease:
        clock(cloud, LEASE_SECONDS - 1)
        lease.held()
        clock(cloud, 2 * LEASE_SECONDS - 2)
        assert not Lease(cloud.azure, lease.words).acquire()

    lease = Lease(cloud.azure, (*WHERE, "--blob-name", LOCK), renewal_seconds=0.01)
    assert lease.acquire()
    before = verbs(cloud.commands()).count("renew")
    lease.keep_in_background()
    assert soon(lambda: verbs(cloud.commands()).count("renew") >= before + 2 or None, "two renewals")
    lease.give_back()
    assert Lease(cloud.azure, lease.words).acquire()


def test_what_the_refusal_says_ends_a_publication_before_its_next_app(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    """Somebody broke the lease of one that hangs, which goes on after all."""
    one, two = packed(tmp_path, "one"), packed(tmp_path, "two")
    other = replace(publishing, wait_seconds=0.0)

    def meanwhile(said: str) -> None:
        if said.startswith(APPS[0]):
            with pytest.raises(Occupied) as refused:
                other.publish(*two, at(13))
            command = str(refused.value).split("`")[1]
            subprocess.run([str(cloud.home / "az"), *shlex.split(command)[1:]], check=True, timeout=60)

    with pytest.raises(LeaseLost, match="publish or roll back again"):
        replace(publishing, tell=meanwhile).publish(*one, NOW)

    assert [*cloud.published()] == [APPS[0]]
    assert runs(publishing) == ""
    other.publish(*two, at(14))
    assert runs(publishing) == two[1].version


def test_a_renewal_without_an_answer_is_no_loss_until_the_time_is_over(cloud: Cloud, somebody: Lease) -> None:
    cloud.write("faults", {"renewals": "Connection reset by peer"})
    somebody.held()

    somebody.until = 0.0
    with pytest.raises(LeaseLost, match="could not be renewed for 60 s"):
        somebody.held()


def test_an_account_that_lets_nobody_in_is_no_matter_of_turns(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    cloud.write("faults", {"uploads": LOCK})

    with pytest.raises(AzureFailed, match="not authorized"):
        publishing.publish(*packed(tmp_path, "one"), NOW)

    assert cloud.published() == {}
