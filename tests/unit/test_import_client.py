"""The importer's client: what it does when no answer comes, or not the one it hoped for."""

from collections.abc import Iterator

import httpx
import pytest

from local.importer.client import ATTEMPTS_MAX, Client, Refused, Unreachable

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
