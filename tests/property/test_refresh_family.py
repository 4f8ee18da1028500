"""Refresh families under any sequence of uses, thefts, lost answers, restarts and time: at most one token works.

The oracle is told what was handed out and when, and works out by itself which requests must succeed: it knows nothing
of digests, rows or how successors are made.
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from local.emulators.database import Database
from local.emulators.entra import families, secrets
from local.emulators.entra.families import Families, Family, RefreshRefused
from local.emulators.entra.secrets import OwnSecret

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "1"))
GRACE, IDLE, LIFE = 10, 14 * 86_400, 90 * 86_400
ISSUER, CLIENTS = "https://issuer.example", ("site", "other")


@dataclass
class Model:
    """What the oracle knows of a family: its tokens in the order they were handed out, and when each was used."""

    client: str
    session: str
    began_at: float
    used_at: float
    tokens: list[str]
    uses: list[float] = field(default_factory=list)
    over: bool = False

    def answers(self, token: str, client: str, now: float) -> str:
        """What asking with `token` must do: `next`, `same` (a lost answer), `revokes` or `nothing`."""
        if client != self.client or self.over or now - self.used_at > IDLE or now - self.began_at > LIFE:
            return "nothing"
        place = self.tokens.index(token)
        if place == len(self.tokens) - 1:
            return "next"
        newest_is_unused = place == len(self.tokens) - 2
        return "same" if newest_is_unused and now - self.uses[place] <= GRACE else "revokes"


class RefreshFamilies(RuleBasedStateMachine):
    """Any number of sign-ins, their tokens used by anybody, in any order."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._now = 1_800_000_000.0
        self._models: dict[str, Model] = {}  # by each token ever handed out
        self._ids: dict[int, str] = {}
        self._open()

    def _open(self) -> None:
        self._database = Database(Path(self._folder.name) / "entra.sqlite", secrets.SCHEMA + families.SCHEMA)
        self._families = Families(self._database, OwnSecret(self._database))

    @rule(target=tokens, client=st.sampled_from(CLIENTS), session=st.sampled_from(("here", "there")))
    def sign_in(self, client: str, session: str) -> str:
        family, token = self._families.begin(
            issuer=ISSUER, client_id=client, user_id="u", session=session, scope="openid", now=self._now
        )
        model = Model(client, session, self._now, self._now, [token])
        self._models[token] = model
        self._ids[id(model)] = family.id
        return token

    @rule(target=tokens, token=tokens)
    def refresh(self, token: str) -> str:
        """Any token ever handed out, by its own application."""
        return self._refresh(token, self._models[token].client)

    @rule(token=tokens, client=st.sampled_from(CLIENTS))
    def refresh_as(self, token: str, client: str) -> None:
        """By an application that may be another."""
        self._refresh(token, client)

    @rule(target=tokens, token=tokens, seconds=st.sampled_from((0, 1, GRACE, GRACE + 1)))
    def refresh_twice(self, token: str, seconds: int) -> str:
        """A lost answer, or a thief, if the token was the newest: it is used and comes again."""
        client = self._models[token].client
        self._refresh(token, client)
        self._now += seconds
        return self._refresh(token, client)

    def _refresh(self, token: str, client: str) -> str:
        model = self._models[token]
        expected = model.answers(token, client, self._now)
        try:
            family, given = self._families.rotate(
                token, issuer=ISSUER, client_id=client, may=lambda _: True, now=self._now
            )
        except RefreshRefused:
            assert expected in {"revokes", "nothing"}
            model.over = model.over or expected == "revokes"
            return token
        assert expected in {"next", "same"}
        assert family.id == self._ids[id(model)]
        if expected == "same":
            assert given == model.tokens[-1]
            return given
        assert given not in self._models
        model.tokens.append(given)
        model.uses.append(self._now)
        model.used_at = self._now
        self._models[given] = model
        return given

    @rule(seconds=st.sampled_from((1, GRACE, GRACE + 1)))
    def wait(self, seconds: int) -> None:
        self._now += seconds

    @rule(seconds=st.sampled_from((IDLE - 1, IDLE + 1)))
    def rest(self, seconds: int) -> None:
        self._now += seconds

    @rule(session=st.sampled_from(("here", "there")))
    def sign_out(self, session: str) -> None:
        self._families.revoke_session(session)
        for model in self._models.values():
            model.over = model.over or model.session == session

    @rule()
    def crash(self) -> None:
        self._database.close()
        self._open()

    @invariant()
    def at_most_one_token_works(self) -> None:
        for model in {id(each): each for each in self._models.values()}.values():
            live = self._families.live(self._ids[id(model)])
            assert live == (0 if model.over else 1) or (live == 0 and self._now - model.began_at > LIFE)

    def teardown(self) -> None:
        self._database.close()
        self._folder.cleanup()


def run(**options: Any) -> None:
    chosen = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), **options)
    run_state_machine_as_test(RefreshFamilies, settings=chosen)


@pytest.mark.torture
def test_a_family_has_at_most_one_token_that_works_and_reuse_ends_it() -> None:
    run(max_examples=60 * ROUNDS, stateful_step_count=30, derandomize=ROUNDS == 1)


def noticed() -> bool:
    """Whether the oracle finds what was broken; the first example it finds is enough."""
    try:
        run(max_examples=400, phases=[Phase.generate], report_multiple_bugs=False, derandomize=True)
    except AssertionError:
        return True
    return False


def test_the_oracle_notices_a_family_that_survives_reuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Families, "_revoke", lambda *_: None)
    assert noticed()


def test_the_oracle_notices_a_second_token_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sibling for each who asks within the grace, as a successor that does not follow from the token would be."""
    own = Families.rotate

    def rotate(self: Families, token: str, **asked: Any) -> tuple[Family, str]:
        family, _ = own(self, token, **asked)
        sibling = secrets.random_text()
        self._add(sibling, family.id)
        return family, sibling

    monkeypatch.setattr(Families, "rotate", rotate)
    assert noticed()


@pytest.mark.parametrize("grace", [-1, 3600])
def test_the_oracle_notices_another_grace(monkeypatch: pytest.MonkeyPatch, grace: int) -> None:
    monkeypatch.setattr(families, "GRACE_SECONDS", grace)
    assert noticed()
