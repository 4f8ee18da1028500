"""The package that Azure takes: what is in it, and what a clean interpreter finds in it."""

import ast
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from local.package import PACKAGES, ROOT, index, packaged, write_package
from shared.settings import SERVICES
from shared.version import UNPACKAGED, version_in

NAMES: Final = re.compile(r"^([a-z0-9][a-z0-9._-]*)", re.MULTILINE)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    write_package(folder / "tessera.zip", commit="abc")
    zipfile.ZipFile(folder / "tessera.zip").extractall(folder / "app")
    return folder / "app"


@pytest.fixture(scope="module")
def indexed(unpacked: Path) -> dict[str, dict[str, Any]]:
    return {services: index(unpacked, services) for services in ("all", *SERVICES)}


def test_the_package_holds_what_azure_needs_and_nothing_of_the_laptop() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in packaged()}
    assert {"function_app.py", "host.json", "requirements.txt", "infra/topology.json"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"function_app.py", "host.json", "requirements.txt", "functions", "shared", "infra"}
    assert [name for name in names if name.startswith("infra/")] == ["infra/topology.json"]


def test_every_module_in_it_is_compiled_for_the_python_it_runs_on(unpacked: Path) -> None:
    sources = {path.relative_to(unpacked) for path in unpacked.rglob("*.py")}
    compiled = {path.relative_to(unpacked) for path in unpacked.rglob("*.cpython-313.pyc")}
    assert compiled == {path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc" for path in sources}
    assert len(sources) > 100


def test_everybody_may_read_what_is_in_it(tmp_path: Path) -> None:
    """Extracted by one user and run by another, as on the Functions host."""
    write_package(tmp_path / "tessera.zip")
    entries = zipfile.ZipFile(tmp_path / "tessera.zip").infolist()
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert [entry.filename for entry in entries if entry.filename.startswith(("./", "/"))] == []


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        write_package(tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_package_says_which_version_it_is_wherever_it_is_unpacked(unpacked: Path) -> None:
    told = [sys.executable, "-c", "from shared.version import version; print(version())"]
    done = subprocess.run(told, cwd=unpacked, check=True, capture_output=True, text=True)

    assert re.fullmatch(r"abc-[0-9a-f]{8}\n", done.stdout)
    assert (version_in(unpacked), version_in(ROOT)) == (done.stdout.strip(), UNPACKAGED)


def test_another_content_or_commit_is_another_version(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / ".funcignore").write_text(".*\n")
    (source / "function_app.py").write_text("one = 1\n")
    one = write_package(tmp_path / "package.zip", source, commit="abc")
    other = write_package(tmp_path / "package.zip", source, commit="def")
    (source / "function_app.py").write_text("one = 2\n")
    changed = write_package(tmp_path / "package.zip", source, commit="abc")

    assert one.removeprefix("abc") == other.removeprefix("def")
    assert one != changed


def test_what_it_brings_is_in_it_and_nothing_of_the_machine_that_fetched_it(tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    of_machine = ["bin/demo", "demo-1.dist-info/RECORD", "demo-1.dist-info/INSTALLER", "demo/__pycache__/x.pyc"]
    for name in ("demo/__init__.py", "demo/native.so", "demo-1.dist-info/METADATA", *of_machine):
        (fetched / name).parent.mkdir(parents=True, exist_ok=True)
        (fetched / name).write_text("one = 1\n")

    write_package(tmp_path / "tessera.zip", packages=fetched)

    with zipfile.ZipFile(tmp_path / "tessera.zip") as package:
        names = {name.removeprefix(f"{PACKAGES}/") for name in package.namelist() if name.startswith(PACKAGES)}
        package.extract("requirements.txt", tmp_path)
    compiled = "demo/__pycache__/__init__.cpython-313.pyc"
    assert names == {"demo/__init__.py", compiled, "demo/native.so", "demo-1.dist-info/METADATA"}
    line = [sys.executable, "-m", "pip", "install", "--no-index", "--target", str(tmp_path / "built"), "-r"]
    subprocess.run([*line, str(tmp_path / "requirements.txt")], check=True, capture_output=True, timeout=60)
    assert list((tmp_path / "built").glob("*")) == [], "as Azure's own build does with it"


@pytest.mark.skipif((sys.platform, platform.machine()) != ("linux", "x86_64"), reason="it is for such machines")
def test_what_it_brings_is_all_that_it_is_loaded_with(unpacked: Path, tmp_path: Path) -> None:
    """What is installed here as well must not hide what is missing there."""
    app = tmp_path / "app"
    shutil.copytree(unpacked, app)
    (app / PACKAGES).mkdir(parents=True)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        index(app, "insights")
    assert "ModuleNotFoundError: No module named" in refused.value.stderr

    (app / PACKAGES).rmdir()
    (app / PACKAGES).symlink_to(sysconfig.get_path("purelib"))
    assert index(app, "insights")["functions"] == index(unpacked, "insights")["functions"]


def test_each_function_belongs_to_one_service_and_all_of_them_to_all(indexed: dict[str, dict[str, Any]]) -> None:
    names = {services: {name for _, name in found["functions"]} for services, found in indexed.items()}
    common = set.intersection(*(names[service] for service in SERVICES))
    everywhere = ("live", "ready", "metrics", "show_counters", "openapi_document", "docs")
    assert common == {f"operations_{name}" for name in everywhere}
    owners = Counter(name for service in SERVICES for name in names[service] - common)
    assert [name for name, number in owners.items() if number > 1] == []
    assert set.union(*(names[service] for service in SERVICES)) == names["all"]


@pytest.mark.parametrize(
    ("services", "kinds"),
    [
        ("commerce", {"httpTrigger": 31, "cosmosDBTrigger": 3, "serviceBusTrigger": 4}),
        ("identity", {"httpTrigger": 31, "cosmosDBTrigger": 1, "serviceBusTrigger": 1}),
        ("insights", {"httpTrigger": 7, "serviceBusTrigger": 1}),
        ("workers", {"httpTrigger": 13, "cosmosDBTrigger": 4, "serviceBusTrigger": 2, "timerTrigger": 5}),
    ],
)
def test_a_service_has_its_functions(indexed: dict[str, dict[str, Any]], services: str, kinds: dict[str, int]) -> None:
    assert Counter(kind for kind, _ in indexed[services]["functions"]) == kinds


def test_no_sdk_is_loaded_before_it_is_used(indexed: dict[str, dict[str, Any]]) -> None:
    loaded = set(indexed["all"]["modules"])
    assert loaded & {"local", "tests", "aiohttp", "msal", "requests", "opencensus", "stripe", "sqlite3"} == set()


def test_everything_that_is_imported_is_installed_on_azure() -> None:
    """Late imports too: they would fail with the first call, and not here, where more is installed."""
    installed = set(NAMES.findall((ROOT / "requirements.txt").read_text()))
    given = {
        module
        for module, distributions in importlib.metadata.packages_distributions().items()
        if installed & {name.lower().replace("_", "-") for name in distributions}
    }
    imported = {
        module.partition(".")[0]
        for path in packaged()
        if path.suffix == ".py"
        for module in _imported(ast.parse(path.read_text()))
    }
    assert {"azure", "pydantic", "stripe", "aiohttp"} <= imported
    assert imported - given - set(sys.stdlib_module_names) == {"functions", "shared"}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_a_lock_is_renewed_for_as_long_as_a_function_may_run() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    assert host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"] == host["functionTimeout"]
