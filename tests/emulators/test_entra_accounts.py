"""Signing up and forgotten passwords: links in mails, what they are good for, and that no answer tells who is known."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from local.emulators.entra.links import LIFE_SECONDS, Purpose
from tests.emulators.entra_browser import (
    PASSWORD,
    REDIRECT_URI,
    Issuer,
    Visitor,
    code_in,
    new_address,
    signed_up,
)
from tests.emulators.processes import Emulator

SIGN_UP, KNOWN, RESET, CHANGED = (
    "Finish signing up",
    "You have an account already",
    "Set a new password",
    "Your password was changed",
)


def reset_link(visitor: Visitor, address: str, *, number: int = 1) -> str:
    """The link of a mail that this visitor asked for."""
    assert visitor.fill(visitor.get("reset"), email=address).status_code == 200
    return visitor.issuer.link_in(visitor.issuer.mail_to(address, RESET, number=number))


def test_who_signs_up_proves_the_address_and_goes_on_to_the_application(issuer: Issuer) -> None:
    address = new_address("nora")
    with Visitor(issuer) as nora:
        page = nora.authorize()
        [to_sign_up] = [link for link in page.text.split('"') if "/sign-up?request=" in link]
        asked = nora.get(f"{issuer.entra.url}{to_sign_up}")
        nora.fill(asked, email=address)
        form = nora.get(issuer.link_in(issuer.mail_to(address, SIGN_UP)))
        made = nora.fill(form, name="Nora New", password=PASSWORD)
        back = nora.get(f"{issuer.entra.url}{made.headers['location']}")
        tokens = nora.exchange(code_in(nora.fill(back, email=address, password=PASSWORD))).json()
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})

    assert made.status_code == 303
    assert "Your account is ready" in back.text
    assert (claims["email"], claims["name"], claims["roles"]) == (address, "Nora New", ["user"])


def test_a_link_to_sign_up_can_be_looked_at_and_is_used_once(issuer: Issuer) -> None:
    address = new_address("nora")
    with Visitor(issuer) as nora, Visitor(issuer) as scanner:
        nora.fill(nora.get("sign-up"), email=address)
        link = issuer.link_in(issuer.mail_to(address, SIGN_UP))
        looked = [scanner.get(link).status_code for _ in range(3)]
        form = nora.get(link)
        refused = nora.fill(form, name="Nora", password="password123")
        made = nora.fill(form, name="Nora", password=PASSWORD)
        again = nora.fill(form, name="Mallory", password="another horse battery")
        signed_in = nora.sign_in(address, PASSWORD)

    assert (looked, refused.status_code, made.status_code) == ([200] * 3, 422, 200)
    assert (again.status_code, signed_in.status_code) == (400, 303)


@pytest.mark.parametrize(
    ("password", "accepted"),
    [
        ("short", False),
        ("9 letters", False),
        ("password123", False),
        ("QWERTYUIOP", False),
        ("aaaaaaaaaaaaaaaa", False),
        ("{address}", False),
        ("my {address} x", False),
        ("x" * 257, False),
        ("ten lettrs", True),
        ("пароль из слов", True),
        ("correct horse battery " * 11, True),
    ],
)
def test_which_passwords_are_taken(issuer: Issuer, password: str, accepted: bool) -> None:
    address, chosen = new_address("nora"), password
    with Visitor(issuer, address="127.0.0.20") as nora:
        answer = signed_up(nora, address, password=chosen.format(address=address))
        came_in = nora.fill(nora.authorize(), email=address, password=chosen).status_code == 303

    assert (answer.status_code == 200, came_in) == (accepted, accepted)


def test_a_reset_link_is_used_once_and_ends_what_the_old_password_began(issuer: Issuer) -> None:
    address = new_address("nora")
    with Visitor(issuer) as nora, Visitor(issuer) as forgetful:
        signed_up(nora, address)
        nora.sign_in(address, PASSWORD)
        link = reset_link(forgetful, address)
        form = forgetful.get(link)
        weak = forgetful.fill(form, password="short")
        changed = forgetful.fill(form, password="another horse battery")
        again = forgetful.fill(form, password="a third horse battery")
        seen = forgetful.get(link)
        old, new, third = (
            forgetful.fill(forgetful.authorize(prompt="login"), email=address, password=password).status_code
            for password in (PASSWORD, "another horse battery", "a third horse battery")
        )
        session = nora.authorize(prompt="none")

    assert [answer.status_code for answer in (weak, changed, again, seen)] == [422, 200, 400, 400]
    assert (old, new, third) == (401, 303, 401)
    assert "login_required" in session.headers["location"]
    assert issuer.mail_to(address, CHANGED)


def test_only_the_newest_reset_link_works_and_not_for_long(issuer: Issuer) -> None:
    address = new_address("nora")
    with Visitor(issuer) as nora:
        signed_up(nora, address)
        first, second = reset_link(nora, address), reset_link(nora, address, number=2)
        older, newer = nora.get(first), nora.get(second)
        issuer.control("clock", seconds=LIFE_SECONDS[Purpose.RESET] + 1)
        late = nora.fill(newer, password="another horse battery")
        unchanged = nora.sign_in(address, PASSWORD)

    assert (older.status_code, newer.status_code, late.status_code, unchanged.status_code) == (400, 200, 400, 303)


def test_a_link_of_one_kind_opens_nothing_else(issuer: Issuer) -> None:
    address = new_address("nora")
    with Visitor(issuer) as nora:
        nora.fill(nora.get("sign-up"), email=address)
        link = issuer.link_in(issuer.mail_to(address, SIGN_UP))
        answers = [nora.get(link.replace("sign-up", "reset")), nora.get(link + "x"), nora.get(link.split("?")[0])]

    assert [answer.status_code for answer in answers] == [400, 400, 400]


def test_a_mailbox_is_not_flooded_and_nobody_learns_that_it_would_have_been(issuer: Issuer) -> None:
    address = new_address("nora")
    with Visitor(issuer, address="127.0.0.21") as nora:
        signed_up(nora, address)
        pages = [nora.fill(nora.get("reset"), email=address) for _ in range(5)]
        issuer.mail_to(address, RESET, number=2)  # the sign-up's mail was the first of three
        signed_up(nora, new_address("later"))  # its mail was written down after those
        counted = len([mail for mail in issuer.mails_to(address) if mail["subject"] == RESET])
        flood = [nora.fill(nora.get("reset"), email=new_address("x")).status_code for _ in range(30)]

    assert {page.status_code for page in pages} == {200}
    assert len({page.text for page in pages}) == 1
    assert counted == 2
    assert (flood[0], flood[-1]) == (200, 429)


def test_mails_written_down_before_a_crash_are_sent_after_it(tmp_path: Path, post_office: Emulator) -> None:
    address, smtp = new_address("nora"), post_office.last_word.removeprefix("smtp://")
    httpx.post(f"{post_office.url}/_emulator/faults", json={"kind": "reject", "code": 451})
    try:
        with Emulator("entra", tmp_path, "--redirect-uri", REDIRECT_URI, "--smtp", smtp) as entra:
            own = Issuer(entra, tmp_path, post_office)
            with Visitor(own) as nora:
                nora.fill(nora.get("sign-up"), email=address)
            entra.kill()
            httpx.delete(f"{post_office.url}/_emulator/faults")
            entra.restart()
            assert own.mail_to(address, SIGN_UP)
    finally:
        httpx.delete(f"{post_office.url}/_emulator/faults")


def test_without_a_mail_server_there_is_no_signing_up(tmp_path: Path, post_office: Emulator) -> None:
    started = Emulator("entra", tmp_path, "--redirect-uri", REDIRECT_URI)
    with started as entra, Visitor(Issuer(entra, tmp_path, post_office)) as nora:
        answers = [nora.get(page) for page in ("sign-up", "reset")]
        offered = nora.authorize().text

    assert [answer.status_code for answer in answers] == [503, 503]
    assert "sign-up" not in offered


# --- Who is known is nobody's to learn ---

UMA = "uma@tessera.example"


@pytest.fixture(scope="module")
def usual_cost(tmp_path_factory: pytest.TempPathFactory, post_office: Emulator) -> Iterator[Issuer]:
    """A double whose passwords cost what they cost outside tests: a shortcut would show."""
    data = tmp_path_factory.mktemp("usual")
    smtp = post_office.last_word.removeprefix("smtp://")
    with pytest.MonkeyPatch.context() as setting:
        setting.setenv("ENTRA_BCRYPT_ROUNDS", "10")
        with Emulator("entra", data, "--redirect-uri", REDIRECT_URI, "--smtp", smtp) as entra:
            yield Issuer(entra, data, post_office)


@pytest.mark.parametrize("page", ["sign-up", "reset"])
def test_asking_for_a_mail_looks_the_same_whoever_is_known(issuer: Issuer, page: str) -> None:
    unknown = new_address("nobody")
    with Visitor(issuer, address="127.0.0.22") as somebody:
        form = somebody.get(page)
        answers = [somebody.fill(form, email=email) for email in (UMA, unknown)]
    texts = [answer.text.replace(email, "") for answer, email in zip(answers, (UMA, unknown), strict=True)]
    headers = [set(answer.headers) for answer in answers]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert texts[0] == texts[1]
    assert headers[0] == headers[1]
    if page == "sign-up":
        assert issuer.mail_to(UMA, KNOWN)
        assert issuer.mail_to(unknown, SIGN_UP)
    else:
        assert issuer.mail_to(UMA, RESET)


TIMINGS_MAX = 3


def medians(visitor: Visitor, path: str, emails: tuple[str, str], rounds: int) -> tuple[float, float]:
    """How long answers take for each of two addresses, asked in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        page = visitor.authorize(prompt="login") if path == "login" else visitor.get(path)
        for times, email in zip(taken, emails, strict=True):
            began = time.perf_counter()
            visitor.fill(page, email=email, password="a wrong password")
            times.append(time.perf_counter() - began)
            visitor.issuer.control("clock", seconds=601)  # so that nothing is throttled
            page = visitor.authorize(prompt="login") if path == "login" else visitor.get(path)
    return statistics.median(taken[0]), statistics.median(taken[1])


@pytest.mark.parametrize(("path", "rounds"), [("login", 9), ("sign-up", 15), ("reset", 15)])
def test_how_long_an_answer_takes_does_not_tell_who_is_known(usual_cost: Issuer, path: str, rounds: int) -> None:
    """Generous, for loaded machines: a forgotten hash would be a factor of ten, a mail sent at once one of several.

    What others do on the machine makes answers look apart, never alike: that they are alike once is enough.
    """
    ratios = []
    for _ in range(TIMINGS_MAX):
        with Visitor(usual_cost) as somebody:
            known, unknown = medians(somebody, path, (UMA, "nobody@tessera.example"), rounds)
        ratios.append(known / unknown)
        if 0.33 < ratios[-1] < 3:
            return
    pytest.fail(f"known to unknown: {ratios}")
