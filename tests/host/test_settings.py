"""host.json, local.settings.json, retry delays and route templates, without a process."""

from pathlib import Path

import pytest

from local.host.errors import StartRefused
from local.host.routes import Routes, decoded_path
from local.host.settings import duration_seconds, load_local_settings, read_host_json
from local.host.triggers import HttpFunction, Retry


def function(name: str, route: str, *methods: str) -> HttpFunction:
    return HttpFunction(name, name, "req", None, route, frozenset(methods), "anonymous")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:05:00", 300.0), ("01:00:00.5", 3600.5), ("2.00:00:01", 172_801.0), ("-1", float("inf"))],
)
def test_durations_are_read_as_dotnet_writes_them(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


def test_the_repository_host_json_is_honoured() -> None:
    read = read_host_json(Path(__file__).parent.parent.parent)

    assert read.function_timeout == 300.0
    assert read.extensions.http.max_outstanding_requests == 2000
    assert read.extensions.service_bus.max_concurrent_calls == 16


def test_local_settings_override_nothing(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text('{"IsEncrypted": false, "Values": {"A": "file", "B": "file"}}')
    environment = {"A": "environment"}

    assert load_local_settings(tmp_path, environment) == 1
    assert environment == {"A": "environment", "B": "file"}


@pytest.mark.parametrize("text", ['{"IsEncrypted": true, "Values": {}}', '{"Values": {"A": 1}}', "[]", "nonsense"])
def test_local_settings_we_cannot_use_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)

    with pytest.raises(StartRefused, match=r"local\.settings\.json"):
        load_local_settings(tmp_path, {})


def test_a_retry_doubles_up_to_its_bound() -> None:
    retry = Retry(max_retry_count=3, minimum_seconds=1.0, maximum_seconds=10.0)

    assert 0.8 <= retry.delay_seconds(1) <= 1.2
    assert 3.2 <= retry.delay_seconds(3) <= 4.8
    assert retry.delay_seconds(50) == 10.0
    assert [retry.allows(failures) for failures in (1, 3, 4)] == [True, True, False]
    assert Retry(-1, 2.0, 2.0).allows(10**6)
    assert Retry(-1, 2.0, 2.0).delay_seconds(9) == 2.0


@pytest.mark.parametrize(
    ("route", "path", "parameters"),
    [
        ("a/{n:int}", "/api/a/12", {"n": "12"}),
        ("a/{n:int}", "/api/a/x", None),
        ("a/{n:int:length(2)}", "/api/a/123", None),
        ("a/{code:regex(^[A-Z]{2}$)}", "/api/a/DE", {"code": "DE"}),
        ("a/{code:regex(^[A-Z]{2}$)}", "/api/a/DEU", None),
        ("a/{name}.{ext}", "/api/a/b.svg", {"name": "b", "ext": "svg"}),
        ("a/{id}/b", "/api/A/X%2Fy/B", {"id": "X/y"}),
        ("a/{id?}", "/api/a/", {}),
        ("{*rest}", "/api", {}),
        ("{*rest}", "/api/x/y", {"rest": "x/y"}),
        ("a/{id}", "/api/a/b/c", None),
    ],
)
def test_a_template_matches_as_in_asp_net(route: str, path: str, parameters: dict[str, str] | None) -> None:
    match = Routes([function("f", route, "GET")], "api").match(decoded_path(path.encode()), "GET")

    assert (match.parameters if match.function else None) == parameters


def test_the_more_specific_template_wins_whatever_the_order() -> None:
    functions = [function("all", "{*x}"), function("any", "a/{x}"), function("int", "a/{x:int}"), function("b", "a/b")]

    for order in (functions, functions[::-1]):
        routes = Routes(order, "")
        found = [routes.match(path, "GET").function for path in ("/a/b", "/a/7", "/a/z", "/q")]
        assert [each.name if each else None for each in found] == ["b", "int", "any", "all"]


def test_methods_of_one_path_may_be_different_functions() -> None:
    routes = Routes([function("read", "a/{x}", "GET"), function("write", "a/{x}", "PUT")], "api")

    put, delete = routes.match("/api/a/1", "PUT"), routes.match("/api/a/1", "DELETE")
    assert put.function is not None
    assert put.function.name == "write"
    assert delete.function is None
    assert delete.allowed == {"GET", "PUT"}


@pytest.mark.parametrize("route", ["a/{b", "a}", "a/{b}/{b}", "a/{*b}/c", "a/{b:unheard}"])
def test_a_template_we_cannot_read_is_refused(route: str) -> None:
    with pytest.raises(StartRefused, match="Function f: the route"):
        Routes([function("f", route)], "api")
