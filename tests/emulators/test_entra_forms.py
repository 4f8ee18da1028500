"""Forms nobody else can send, sessions nobody can plant, and passwords nobody can guess at leisure."""

from collections.abc import Callable
from html.parser import HTMLParser

import httpx
import pytest

from local.emulators.entra.grants import REQUEST_SECONDS
from local.emulators.entra.sessions import IDLE_SECONDS_MAX
from tests.emulators.entra_browser import (
    CLIENT,
    PASSWORD,
    REDIRECT_URI,
    Issuer,
    Visitor,
    code_in,
    forms_of,
    new_address,
    signed_up,
)

UNA, ADA = "una@tessera.example", "ada@tessera.example"


def sign_in_page(visitor: Visitor) -> httpx.Response:
    return visitor.authorize()


def sign_up_page(visitor: Visitor) -> httpx.Response:
    return visitor.get("sign-up")


def reset_page(visitor: Visitor) -> httpx.Response:
    return visitor.get("reset")


def profile_page(visitor: Visitor) -> httpx.Response:
    visitor.sign_in(UNA)
    return visitor.get("profile")


PAGES = [sign_in_page, sign_up_page, reset_page, profile_page]
FILLED = {"email": UNA, "password": "wrong", "name": "Mallory", "current": "x", "new": PASSWORD}


@pytest.mark.parametrize("page_of", PAGES)
def test_a_form_without_its_token_or_with_another_browsers_changes_nothing(
    issuer: Issuer, page_of: Callable[[Visitor], httpx.Response]
) -> None:
    with Visitor(issuer) as victim, Visitor(issuer) as attacker:
        page, stolen = page_of(victim), page_of(attacker)
        for number, (form, theirs) in enumerate(zip(forms_of(page), forms_of(stolen), strict=True)):
            forged = [
                victim.fill(page, FILLED | {"form": token}, number=number)
                for token in ("", "x", theirs.fields["form"], form.fields["form"][:-1])
            ]
            from_elsewhere = victim.fill(page, FILLED, number=number, headers={"Sec-Fetch-Site": "cross-site"})

            assert [answer.status_code for answer in (*forged, from_elsewhere)] == [403] * 5
        if page_of is profile_page:
            assert 'value="Una User"' in victim.get("profile").text
    assert issuer.mails_to(UNA) == []


def test_a_victim_cannot_be_signed_in_as_the_attacker(issuer: Issuer) -> None:
    """Login CSRF: the attacker's own form and request, sent by the victim's browser."""
    with Visitor(issuer) as victim, Visitor(issuer) as attacker:
        page = attacker.authorize()
        victim.authorize()
        sent = victim.fill(page, email=ADA, password=issuer.password_of(ADA))
        own_token = forms_of(victim.authorize())[0].fields["form"]
        mixed = victim.fill(page, email=ADA, password=issuer.password_of(ADA))
        [form] = forms_of(page)
        foreign_request = victim.http.post(
            f"{victim.root}/login",
            data=form.fields | {"form": own_token, "email": ADA, "password": issuer.password_of(ADA)},
        )

    assert (sent.status_code, mixed.status_code) == (403, 403)
    assert (foreign_request.status_code, "location" in foreign_request.headers) == (400, False)
    assert "session" not in victim.cookies()


def test_a_session_planted_before_signing_in_is_worth_nothing_after(issuer: Issuer) -> None:
    """Session fixation, of the session and of the visit that forms belong to."""
    with Visitor(issuer) as attacker, Visitor(issuer) as victim:
        attacker.sign_in(UNA)
        planted = {cookie.name: cookie.value or "" for cookie in attacker.http.cookies.jar}
        for name, value in planted.items():
            victim.http.cookies.set(name, value, domain="127.0.0.1")
        victim.sign_in(ADA, prompt="login")
        after = victim.cookies()
        page = attacker.get("profile")
        victims = victim.get("profile")

    assert not set(after.values()) & set(planted.values())
    assert f'value="{ADA}"' not in page.text
    assert f'value="{ADA}"' in victims.text
    with Visitor(issuer) as made_up:
        made_up.http.cookies.set(next(name for name in planted if "session" in name), "chosen", domain="127.0.0.1")
        made_up.sign_in(ADA)
        assert made_up.cookies()["session"] != "chosen"


@pytest.mark.parametrize("tls", [False, True])
def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(issuer: Issuer, tls: bool) -> None:
    with Visitor(issuer, tls=tls) as una:
        page = una.authorize()
        answer = una.fill(page, email=UNA, password=issuer.password_of(UNA))
        cookies = [*page.headers.get_list("set-cookie"), *answer.headers.get_list("set-cookie")]

    assert len(cookies) == 3
    for cookie in cookies:
        name, *rules = cookie.split("; ")
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(rules)
        assert ("Secure" in rules, name.startswith("__Host-")) == (tls, tls)
        assert not any(rule.startswith("Domain") for rule in rules)


def test_pages_run_no_scripts_and_are_in_no_frames(issuer: Issuer) -> None:
    with Visitor(issuer) as una:
        headers = [page_of(una).headers for page_of in PAGES]

    for found in headers:
        assert "default-src 'none'" in found["content-security-policy"]
        assert "frame-ancestors 'none'" in found["content-security-policy"]
        assert (found["x-frame-options"], found["cache-control"]) == ("DENY", "no-store")
        assert found["referrer-policy"] == "no-referrer"


def test_signing_out_asks_unless_the_application_shows_whose_session_it_is(issuer: Issuer) -> None:
    with Visitor(issuer) as una, Visitor(issuer) as ada:
        hint = una.tokens(UNA)["id_token"]
        others = ada.tokens(ADA)["id_token"]
        back = {"post_logout_redirect_uri": REDIRECT_URI, "state": "s"}
        asked = [una.get("oauth2/v2.0/logout", **back, **extra) for extra in ({}, {"id_token_hint": others})]
        asked += [una.get("oauth2/v2.0/logout", **back, id_token_hint=hint[:-6] + "AAAAAA")]
        still = una.authorize(prompt="none")
        out = una.get("oauth2/v2.0/logout", **back, id_token_hint=hint)
        after = una.authorize(prompt="none")
        by_hand = ada.fill(ada.get("oauth2/v2.0/logout", **back, client_id=CLIENT))

    assert [answer.status_code for answer in asked] == [200, 200, 200]
    assert code_in(still)
    assert (out.status_code, out.headers["location"]) == (303, f"{REDIRECT_URI}?state=s")
    assert "login_required" in after.headers["location"]
    assert (by_hand.status_code, by_hand.headers["location"]) == (303, f"{REDIRECT_URI}?state=s")


@pytest.mark.parametrize(
    ("step", "steps", "lasts"),
    [(IDLE_SECONDS_MAX - 60, 2, True), (IDLE_SECONDS_MAX + 60, 1, False), (IDLE_SECONDS_MAX - 60, 4, False)],
)
def test_a_session_ends_when_it_rests_too_long_or_is_too_old(
    issuer: Issuer, step: int, steps: int, lasts: bool
) -> None:
    with Visitor(issuer) as una:
        una.sign_in(UNA)
        answers = []
        for _ in range(steps):
            issuer.control("clock", seconds=step)
            answers.append(una.authorize(prompt="none").headers["location"])

    assert ("login_required" not in answers[-1]) is lasts


def test_a_sign_in_left_open_too_long_starts_again(issuer: Issuer) -> None:
    with Visitor(issuer) as una:
        page = una.authorize()
        issuer.control("clock", seconds=REQUEST_SECONDS + 1)
        late = una.fill(page, email=UNA, password=issuer.password_of(UNA))

    assert (late.status_code, "session" in una.cookies()) == (400, False)


def test_guesses_are_counted_per_account_whether_it_exists_or_not(issuer: Issuer) -> None:
    seen = {}
    for email in (ADA, "nobody@tessera.example"):
        with Visitor(issuer) as somebody:
            answers = [somebody.fill(somebody.authorize(), email=email, password="wrong") for _ in range(7)]
            seen[email] = [answer.status_code for answer in answers]
    with Visitor(issuer, address="127.0.0.3") as owner:
        locked = owner.sign_in(ADA)
        issuer.control("clock", seconds=61)
        later = owner.sign_in(ADA)

    assert list(seen.values()) == [[401] * 5 + [429] * 2] * 2
    assert (locked.status_code, later.status_code) == (429, 303)


def test_guesses_are_counted_per_network_address_whoever_is_guessed_at(issuer: Issuer) -> None:
    issuer.control("clock", seconds=61)  # what other tests guessed from there is forgotten
    with Visitor(issuer) as attacker, Visitor(issuer, address="127.0.0.10") as other:
        page = attacker.authorize()
        guesses = [
            attacker.fill(
                page,
                {"email": f"guess-{number}@example.org", "password": "wrong"},
                headers={"X-Forwarded-For": f"10.0.0.{number}"},
            ).status_code
            for number in range(52)
        ]
        fine = other.sign_in(UNA)
    issuer.control("clock", seconds=61)

    assert guesses == [401] * 50 + [429] * 2
    assert fine.status_code == 303


class Outline(HTMLParser):
    """What assistive technology finds on a page."""

    def __init__(self, page: httpx.Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("page_of", PAGES)
def test_every_field_has_a_label_and_every_error_leads_to_its_field(
    issuer: Issuer, page_of: Callable[[Visitor], httpx.Response]
) -> None:
    with Visitor(issuer) as una:
        page = page_of(una)
        wrong = una.fill(page, email="nonsense", name="", password="wrong")
    for outline in (Outline(page), Outline(wrong)):
        ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
        labelled = {label["for"] for label in outline.all("label")}
        seen = [field for field in outline.all("input") if field.get("type") != "hidden"]

        assert len(ids) == len(set(ids))
        assert outline.all("html")[0]["lang"] == "en"
        assert [len(outline.all(tag)) for tag in ("main", "header", "footer", "h1", "script")] == [1, 1, 1, 1, 0]
        assert seen
        assert all(field["id"] in labelled and field["autocomplete"] for field in seen)
        for field in outline.all("input"):
            assert set((field.get("aria-describedby") or "").split()) <= set(ids)
    alert = next(found for _, found in Outline(wrong).tags if found.get("role") == "alert")
    links = [link["href"] for link in Outline(wrong).all("a") if (link["href"] or "").startswith("#")]
    invalid = [f"#{field['id']}" for field in Outline(wrong).all("input") if field.get("aria-invalid") == "true"]
    assert (wrong.status_code in {401, 422}, alert["tabindex"]) == (True, "-1")
    assert links == invalid != []


def test_pages_speak_the_language_the_browser_asks_for(issuer: Issuer) -> None:
    spoken = {}
    for accepted in ("fr-CH, fr;q=0.9, en;q=0.8", "de, en;q=0.1, fr;q=0.05", "", "nonsense;q=x"):
        with Visitor(issuer, language=accepted) as somebody:
            spoken[accepted] = "Mot de passe" in somebody.authorize().text

    assert list(spoken.values()) == [True, False, False, False]


def test_a_profile_is_changed_by_its_owner(issuer: Issuer) -> None:
    with Visitor(issuer) as nora:
        address = new_address("nora")
        signed_up(nora, address)
        first = nora.sign_in(address, PASSWORD)
        named = nora.fill(nora.get("profile"), name="Nora <b>Neu</b>")
        wrong = nora.fill(nora.get("profile"), number=1, current="wrong", new="another horse battery")
        short = nora.fill(nora.get("profile"), number=1, current=PASSWORD, new="short")
        claims = nora.exchange(code_in(nora.authorize())).json()
        changed = nora.fill(nora.get("profile"), number=1, current=PASSWORD, new="another horse battery")
        still = nora.get("profile")

    assert [answer.status_code for answer in (first, named, wrong, short, changed)] == [303, 200, 422, 422, 200]
    assert "Nora &lt;b&gt;Neu" in named.text
    assert "<b>" not in named.text
    assert "id_token" in claims
    assert address in still.text
    assert issuer.mail_to(address, "Your password was changed")
