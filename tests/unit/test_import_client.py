"""The importer's client: what it does when no answer comes, or not the one it hoped for."""

from collections.abc import Iterator

import httpx
import pytest

from local.importer.client import ATTEMPTS_MAX, Client, Refused, Unreachable, wrong_with_token, wrong_with_url

NOW = {"retry-after": "0"}


class Server:
    """Gives one answer after another, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """The next answer."""
        headers = request.headers
        self.asked.append((request.url.path, headers["authorization"], headers.get("idempotency-key", "")))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def client(server: Server) -> Client:
    """A client with a token for each time it asks."""
    tokens: Iterator[str] = iter(["one", "two", "three"])
    return Client("http://localhost", lambda: next(tokens), transport=httpx.MockTransport(server))


def test_what_is_busy_or_lost_is_asked_again_with_the_same_key() -> None:
    made = httpx.Response(201, json={"event_id": "e"})
    server = Server(httpx.ReadTimeout("lost"), httpx.Response(503, headers=NOW), httpx.Response(429, headers=NOW), made)

    assert client(server).ask("POST", "events", {}, key="k") == {"event_id": "e"}
    assert server.asked == [("/api/events", "Bearer one", "k")] * 4


def test_who_is_always_busy_is_given_up() -> None:
    server = Server(httpx.Response(503, headers=NOW, text="busy"))

    with pytest.raises(Unreachable, match="503 busy"):
        client(server).ask("GET", "me")
    assert len(server.asked) == ATTEMPTS_MAX


@pytest.mark.parametrize("last", [httpx.Response(503, text="busy"), httpx.ReadTimeout("busy")])
def test_after_the_last_attempt_nothing_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, last: httpx.Response | httpx.TransportError
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("local.importer.client.time.sleep", pauses.append)

    with pytest.raises(Unreachable, match="busy"):
        client(Server(last)).ask("GET", "me")

    assert [pause for pause in pauses if pause] == [0.25, 0.5, 1.0, 2.0, 4.0]


def test_a_token_refused_at_the_last_attempt_is_the_reason_given() -> None:
    busy = [httpx.Response(503, headers=NOW)] * (ATTEMPTS_MAX - 1)
    server = Server(*busy, httpx.Response(401, text="expired"))

    with pytest.raises(Unreachable, match="the token was refused: expired"):
        client(server).ask("GET", "me")
    assert len(server.asked) == ATTEMPTS_MAX


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:abc", "http://127.0.0.1:99999", "http://[::1", "http://[zz]", "localhost:7071", "", "http://",
     "ftp://localhost", "http://a..b", "http://xn--", "http://" + "a" * 70, "http://a\nb"],
)  # fmt: skip
def test_what_is_no_address_is_known_before_it_is_asked(url: str) -> None:
    assert repr(url) in wrong_with_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:7071", "http://[::1]:7071", "https://zürich.example/", "HTTP://a"])
def test_an_address_is_one(url: str) -> None:
    assert wrong_with_url(url) == ""


@pytest.mark.parametrize(("token", "right"), [("", True), ("ey.J-_~+/=", True), ("é", False), ("a b", False),
                                              ("a\n", False), ("\0", False)])  # fmt: skip
def test_a_token_is_what_a_header_can_carry_and_is_not_told(token: str, right: bool) -> None:
    told = wrong_with_token(token)

    assert (told == "") is right
    assert "é" not in told


def test_a_token_that_ran_out_is_asked_for_again_once() -> None:
    server = Server(httpx.Response(401), httpx.Response(200, json={}), httpx.Response(401))
    asking = client(server)

    asking.ask("GET", "me")
    with pytest.raises(Unreachable, match="token was refused"):
        asking.ask("GET", "me")

    assert [bearer for _, bearer, _ in server.asked] == [f"Bearer {n}" for n in ("one", "two", "two", "three")]


def test_a_refusal_is_told_with_its_fields() -> None:
    problem = {
        "type": "urn:tessera:problem:request-refused",
        "detail": "Look at name.",
        "errors": [{"field": "name", "reason": "too long", "allowed": "at most 200 long"}],
        "correlation_id": "cor-12345678",
    }

    with pytest.raises(Refused) as refused:
        client(Server(httpx.Response(400, json=problem))).ask("POST", "events", {})

    assert refused.value.code == "request-refused"
    assert str(refused.value) == (
        "400: Look at name. name: too long (allowed: at most 200 long) [correlation id cor-12345678]"
    )


@pytest.mark.parametrize("answer", [httpx.Response(500, text="<html>"), httpx.Response(200, text="<html>"),
                                    httpx.Response(404, json=["?"])])  # fmt: skip
def test_an_answer_that_is_no_object_is_a_refusal(answer: httpx.Response) -> None:
    with pytest.raises(Refused):
        client(Server(answer)).ask("GET", "me")
