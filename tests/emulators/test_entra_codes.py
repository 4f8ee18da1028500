"""Attacks on authorization codes, redirects and the applications they are for."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.emulators.entra_browser import (
    CLIENT,
    OTHER_CLIENT,
    OTHER_REDIRECT_URI,
    REDIRECT_URI,
    SCOPE,
    VERIFIER,
    Issuer,
    Visitor,
    challenge_of,
    code_in,
    forms_of,
)
from tests.support.leaks import SHAPES

UMA = "uma@tessera.example"


def test_a_replayed_code_takes_back_what_it_gave(issuer: Issuer) -> None:
    with Visitor(issuer) as uma, Visitor(issuer) as thief:
        code = uma.code(UMA)
        first = uma.exchange(code).json()
        again = uma.refresh(first["refresh_token"])
        replayed = thief.exchange(code)
        after = uma.refresh(again.json()["refresh_token"])

    assert again.status_code == 200
    assert [(answer.status_code, answer.json()["error"]) for answer in (replayed, after)] == [
        (400, "invalid_grant"),
        (400, "invalid_grant"),
    ]
    assert "revoked" in after.json()["error_description"]


def test_of_many_exchanges_of_one_code_at_once_one_succeeds_and_nothing_is_left_of_it(issuer: Issuer) -> None:
    with Visitor(issuer) as uma, ThreadPoolExecutor(8) as threads:
        code = uma.code(UMA)
        answers = list(threads.map(lambda _: uma.exchange(code), range(8)))
        [given] = [answer.json() for answer in answers if answer.status_code == 200]

        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
        assert uma.refresh(given["refresh_token"]).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": VERIFIER[:-1] + "8"},
        {"code_verifier": ""},
        {"code_verifier": VERIFIER * 3},
        {"redirect_uri": REDIRECT_URI + "?"},
        {"client_id": OTHER_CLIENT},
        {"client_id": OTHER_CLIENT, "redirect_uri": OTHER_REDIRECT_URI},
    ],
)
def test_a_code_is_spent_by_whoever_tries_it_with_something_else(issuer: Issuer, changes: dict[str, str]) -> None:
    with Visitor(issuer) as uma:
        code = uma.code(UMA)
        answers = [uma.exchange(code, **changes), uma.exchange(code)]

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(400, "invalid_grant")] * 2


def test_a_code_is_good_for_a_minute(issuer: Issuer) -> None:
    with Visitor(issuer) as uma:
        code = uma.code(UMA)
        issuer.control("clock", seconds=61)
        late = uma.exchange(code)

    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


def test_a_code_of_one_door_is_nothing_at_the_other(issuer: Issuer) -> None:
    with Visitor(issuer) as plain, Visitor(issuer, tls=True) as secure:
        code = plain.code(UMA)
        crossed = secure.exchange(code)
        own = secure.exchange(secure.code(UMA))

    assert (crossed.status_code, own.status_code) == (400, 200)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        REDIRECT_URI + "/",
        REDIRECT_URI + "?next=https://evil.example",
        REDIRECT_URI + "#",
        REDIRECT_URI.upper(),
        REDIRECT_URI.replace("127.0.0.1", "127.0.0.1@evil.example"),
        REDIRECT_URI.replace("http://", "http://evil.example\\@"),
        f"{REDIRECT_URI} https://evil.example",
        OTHER_REDIRECT_URI,
        "javascript:alert(1)",
        "//evil.example",
        "",
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_exactly_the_applications(issuer: Issuer, target: str) -> None:
    with Visitor(issuer) as uma:
        uma.sign_in(UMA)
        answers = [uma.authorize(redirect_uri=target, **extra) for extra in ({}, {"prompt": "none"}, {"scope": "x"})]
        out = uma.get("oauth2/v2.0/logout", post_logout_redirect_uri=target, client_id=CLIENT)
        ended = uma.fill(out)

    assert [answer.status_code for answer in (*answers, ended)] == [400, 400, 400, 200]
    assert not [answer for answer in (*answers, out, ended) if "location" in answer.headers]


def test_a_repeated_parameter_is_refused_rather_than_chosen_from(issuer: Issuer) -> None:
    with Visitor(issuer) as uma:
        asked = uma.authorize()
        first = str(asked.request.url).replace("authorize?", "authorize?redirect_uri=https://evil.example/&")
        answers = [uma.get(first), uma.get(f"{asked.request.url}&state=another")]

    assert [answer.status_code for answer in (asked, *answers)] == [200, 400, 400]


def test_what_the_application_sent_along_comes_back_as_it_was(issuer: Issuer) -> None:
    state = "a b&c=d#e?f/é"
    with Visitor(issuer) as uma:
        queried = uma.sign_in(UMA, state=state)
        fragment = uma.authorize(state=state, response_mode="fragment")
        posted = uma.authorize(state=state, response_mode="form_post")
        without = uma.authorize(state=None)

    assert parse_qs(urlsplit(queried.headers["location"]).query)["state"] == [state]
    assert parse_qs(urlsplit(fragment.headers["location"]).fragment)["state"] == [state]
    [form] = forms_of(posted)
    assert (form.action, form.fields["state"], set(form.fields)) == (REDIRECT_URI, state, {"code", "state"})
    assert set(parse_qs(urlsplit(without.headers["location"]).query)) == {"code"}


def test_who_is_signed_in_is_not_asked_again_unless_the_application_wants_it(issuer: Issuer) -> None:
    with Visitor(issuer) as uma:
        nobody = uma.authorize(prompt="none")
        uma.sign_in(UMA)
        silent, asked = uma.authorize(prompt="none"), uma.authorize(prompt="login")
        other = uma.authorize(login_hint="ugo@tessera.example")
        into_other = uma.authorize(client_id=OTHER_CLIENT, redirect_uri=OTHER_REDIRECT_URI, prompt="none")
        answer = uma.exchange(code_in(silent))

    assert parse_qs(urlsplit(nobody.headers["location"]).query)["error"] == ["login_required"]
    assert (asked.status_code, other.status_code, answer.status_code) == (200, 200, 200)
    assert into_other.headers["location"].startswith(OTHER_REDIRECT_URI)


def error_in(answer: httpx.Response) -> str:
    [error] = parse_qs(urlsplit(answer.headers["location"]).query)["error"]
    assert "code=" not in answer.headers["location"]
    return error


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "login none"}, "invalid_request"),
        ({"prompt": "bogus"}, "invalid_request"),
        ({"prompt": "login bogus"}, "invalid_request"),
        ({"prompt": "login consent"}, "consent_required"),
        ({"max_age": "0"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
    ],
)
def test_what_cannot_be_honoured_is_refused_and_gives_no_code(
    issuer: Issuer, asked: dict[str, str], error: str
) -> None:
    with Visitor(issuer) as uma:
        uma.sign_in(UMA)
        assert error_in(uma.authorize(**asked)) == error
        assert code_in(uma.authorize(prompt=" none "))


def test_prompts_are_a_list(issuer: Issuer) -> None:
    with Visitor(issuer) as uma:
        uma.sign_in(UMA)
        both = uma.authorize(prompt="select_account login")
        created = uma.authorize(prompt="login create")

    assert (both.status_code, len(forms_of(both))) == (200, 1)
    assert "/sign-up?request=" in created.headers["location"]


def test_what_is_asked_may_come_as_a_form(issuer: Issuer) -> None:
    """OIDC Core section 3.1.2.1: the authorization endpoint takes GET and POST."""
    with Visitor(issuer) as uma:
        asked = parse_qs(urlsplit(str(uma.authorize().request.url)).query)
        form = {name: values[0] for name, values in asked.items()}
        endpoint = f"{uma.root}/oauth2/v2.0/authorize"
        page = uma.http.post(endpoint, data=form)
        signed_in = uma.exchange(code_in(uma.fill(page, email=UMA, password=issuer.password_of(UMA))))
        code = uma.exchange(code_in(uma.http.post(endpoint, data=form)))
        repeated = uma.http.post(endpoint, data=form | {"state": ["one", "two"]})
        elsewhere = uma.http.post(endpoint, data=form | {"redirect_uri": "https://evil.example/"})

    assert [answer.status_code for answer in (signed_in, code, repeated, elsewhere)] == [200, 200, 400, 400]


@pytest.mark.parametrize("verifier", ["x", VERIFIER[:42], VERIFIER[:42] + "!", VERIFIER * 3])
def test_a_verifier_too_short_to_be_secret_is_refused_though_it_matches(issuer: Issuer, verifier: str) -> None:
    """RFC 7636 section 4.1: 43 to 128 unreserved characters."""
    with Visitor(issuer) as uma:
        answer = uma.exchange(uma.code(UMA, code_challenge=challenge_of(verifier)), code_verifier=verifier)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_parameter_repeated_at_the_token_endpoint_is_refused(issuer: Issuer) -> None:
    """RFC 6749 section 3.2; nothing was used up."""
    with Visitor(issuer) as uma:
        code = uma.code(UMA)
        fields = [("grant_type", "authorization_code"), ("client_id", CLIENT), ("redirect_uri", REDIRECT_URI)]
        fields += [("code", code), ("code_verifier", "x"), ("code_verifier", VERIFIER)]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        token = f"{uma.root}/oauth2/v2.0/token"
        refused = uma.http.post(token, content=urlencode(fields), headers=headers)
        given = uma.exchange(code)

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert given.status_code == 200


def test_what_the_issuer_gives_for_signing_in_is_known_by_its_shape(issuer: Issuer) -> None:
    """Whoever searches files for leaks finds it: tests/support/leaks.py."""
    with Visitor(issuer) as uma:
        code = uma.code(UMA)
        tokens = uma.exchange(code).json()
        next_one = uma.refresh(tokens["refresh_token"]).json()["refresh_token"]
    kept = (issuer.data / "entra.sqlite").read_bytes() + (issuer.data / "entra.sqlite-wal").read_bytes()

    assert SHAPES["authorization code"].fullmatch(code.encode())
    for token in (tokens["refresh_token"], next_one):
        assert SHAPES["refresh token"].fullmatch(token.encode())
    assert {name for name, shape in SHAPES.items() if shape.search(kept)} == {"private key"}


def test_only_scopes_that_exist_are_given(issuer: Issuer) -> None:
    with Visitor(issuer) as uma:
        refused = uma.authorize(scope=f"{SCOPE} api://another/tickets.use")
        given = uma.exchange(uma.code(UMA, scope="openid")).json()

    assert parse_qs(urlsplit(refused.headers["location"]).query)["error"] == ["invalid_scope"]
    assert "refresh_token" not in given
