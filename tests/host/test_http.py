"""HTTP through a real host process."""

import asyncio
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.host.limits import CONNECTIONS_MAX
from local.host.process import HostProcess

APP = Path(__file__).parent / "apps" / "http"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with HostProcess.start(
        app=APP, data=tmp_path_factory.mktemp("http"), arguments=["--body-limit", "1000"]
    ) as process:
        yield process


@pytest.fixture
def client(host: HostProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.url) as client:
        yield client


def test_a_function_sees_method_url_parameters_query_body_and_joined_headers(client: httpx.Client) -> None:
    answer = client.post(
        "/api/echo/a%2Fb?x=1&x=2&y=%20z&none=",
        content="bödy",
        headers=[("x-twice", "one"), ("x-twice", "two"), ("host", "shop.example")],
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "method": "POST",
        "url": "http://shop.example/api/echo/a/b?x=1&x=2&y=%20z&none=",
        "params": {"itemId": "a/b"},
        "query": {"x": "1,2", "y": " z"},
        "body": "bödy",
        "twice": "one,two",
    }


def test_an_optional_parameter_may_be_left_out(client: httpx.Client) -> None:
    assert client.get("/api/echo").json()["params"] == {}


def test_a_chunked_body_arrives_whole(client: httpx.Client) -> None:
    assert client.post("/api/echo", content=iter([b"one ", b"two"])).json()["body"] == "one two"


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/api/orders/mine", "mine"),
        ("GET", "/API/Orders/MINE/", "mine"),
        (
            "GET",
            "/api/orders/0b8a5f0c-3f59-4a55-8e5e-0d7f5c9a1b2c",
            "guid 0b8a5f0c-3f59-4a55-8e5e-0d7f5c9a1b2c",
        ),
        ("GET", "/api/files/a/b.txt", "a/b.txt"),
        ("GET", "/api/files", "nothing"),
        ("PATCH", "/api/any", "PATCH"),
        ("OPTIONS", "/api/any", "OPTIONS"),
    ],
)
def test_a_route_leads_to_its_function(client: httpx.Client, method: str, path: str, text: str) -> None:
    answer = client.request(method, path)

    assert (answer.status_code, answer.text) == (200, text)


def test_unknown_paths_are_404_and_other_methods_405_as_problems(client: httpx.Client) -> None:
    unknown = client.get("/api/unknown", headers={"x-correlation-id": "abc-1234"})
    no_guid = client.get("/api/orders/17")
    head = client.head("/api/empty")

    assert unknown.status_code == 404
    assert unknown.headers["content-type"] == "application/problem+json"
    assert unknown.headers["x-correlation-id"] == unknown.json()["correlation_id"] == "abc-1234"
    assert (no_guid.status_code, no_guid.headers["allow"]) == (405, "DELETE")
    assert (head.status_code, head.headers["allow"], head.content) == (405, "GET", b"")


def test_a_function_that_takes_every_method_answers_head_without_a_body(client: httpx.Client) -> None:
    answer = client.head("/api/any")

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "4", b"")


def test_every_cookie_is_sent(client: httpx.Client) -> None:
    answer = client.get("/api/cookies")

    assert answer.headers.get_list("set-cookie") == ["a=1; HttpOnly; Path=/", "b=2"]


def test_an_empty_answer_has_no_length(client: httpx.Client) -> None:
    answer = client.delete("/api/orders/17")

    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/api/broken", "/api/bad-header", "/api/nothing"])
def test_an_exception_is_a_logged_500_without_its_traceback_and_the_host_lives(
    host: HostProcess, client: httpx.Client, path: str
) -> None:
    correlation_id = f"test-id-{path[5:]}"

    answer = client.get(path, headers={"x-correlation-id": correlation_id})

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-correlation-id"] == answer.json()["correlation_id"] == correlation_id
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    [entry] = [entry for entry in host.log_entries() if entry.get("correlation_id") == correlation_id]
    assert entry["function"] == path[5:].replace("-", "_")
    assert len(entry["invocation_id"]) == 36
    assert client.get("/api/empty").status_code == 200


def test_the_log_of_an_exception_holds_its_traceback(host: HostProcess, client: httpx.Client) -> None:
    client.get("/api/broken", headers={"x-correlation-id": "traced-1"})

    [entry] = [entry for entry in host.log_entries() if entry.get("correlation_id") == "traced-1"]
    assert "RuntimeError: the secret inside" in entry["traceback"]


@pytest.mark.parametrize("forged", ["", "x" * 200, 'a"b', "a b"])
def test_an_ill_formed_correlation_id_is_replaced(client: httpx.Client, forged: str) -> None:
    answer = client.get("/api/unknown", headers={"x-correlation-id": forged})

    assert answer.json()["correlation_id"] != forged
    assert len(answer.json()["correlation_id"]) == 32


def test_a_function_over_its_time_is_a_500(host: HostProcess, client: httpx.Client) -> None:
    answer = client.get("/api/slow?seconds=3", headers={"x-correlation-id": "late-one"})

    assert answer.status_code == 500
    assert any("TimeoutError" in entry["message"] for entry in host.log_entries())


def test_log_lines_of_a_function_carry_its_invocation(host: HostProcess, client: httpx.Client) -> None:
    client.get("/api/slow?seconds=0", headers={"x-correlation-id": "mine-0017"})

    [entry] = [entry for entry in host.log_entries() if entry.get("correlation_id") == "mine-0017"]
    assert (entry["message"], entry["function"], entry["logger"]) == ("slow has begun", "slow", "app")


def test_a_synchronous_function_runs_in_a_thread(client: httpx.Client) -> None:
    assert client.get("/api/threaded").json() == {"away": True, "name": "threaded"}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413(client: httpx.Client, chunked: bool) -> None:
    answer = client.post("/api/echo", content=iter([b"x" * 600, b"x" * 600]) if chunked else b"x" * 1001)

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_more_outstanding_requests_than_allowed_are_429(host: HostProcess) -> None:
    async with httpx.AsyncClient(base_url=host.url, limits=httpx.Limits(max_connections=20)) as client:
        await asyncio.gather(*(client.get("/api/empty") for _ in range(7)))  # connections that are there already
        answers = await asyncio.gather(*(client.get("/api/slow?seconds=0.5") for _ in range(7)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 429, 429, 429]


def test_the_status_page_answers(client: httpx.Client) -> None:
    status = client.get("/admin/host/status").json()

    assert status["state"] == "Running"
    assert status["processUptime"] >= 0
    names = {each["name"] for each in client.get("/admin/functions").json()}
    assert {"empty", "echo", "slow"} <= names


def test_an_unknown_extension_is_warned_about(host: HostProcess) -> None:
    assert any("sendGrid" in entry.get("message", "") for entry in host.log_entries())


def test_pages_of_the_launcher_are_served_beside_the_functions(tmp_path: Path) -> None:
    with HostProcess.start(app=APP, data=tmp_path, arguments=["--pages", "tests.host.apps.pages:pages"]) as host:
        assert httpx.get(f"{host.url}/").text == "welcome"
        assert httpx.get(f"{host.url}/api/orders/mine").text == "mine"
        assert json.loads(httpx.get(f"{host.url}/nowhere").text)["status"] == 404


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux shows another process' limits")
def test_a_worker_may_open_more_files_than_the_shell_it_was_started_from(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS_MAX if hard == resource.RLIM_INFINITY else min(2 * CONNECTIONS_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        with HostProcess.start(app=APP, data=tmp_path) as host:
            [worker] = host.worker_pids()
            assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (wanted, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
