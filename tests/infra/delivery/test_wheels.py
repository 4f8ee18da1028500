"""The packages that a version brings: for Azure's machines, and those that were pinned."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from local.package import REQUIREMENTS, ROOT
from tools.delivery.wheels import install


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place that pip may look at."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def wheel(shelf: Path, tags: str, name: str = "demo") -> str:
    """Put a package there; its line in a requirements.txt."""
    path = shelf / f"{name}-1.0-{tags}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"tags = {tags!r}\n")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tags}\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def test_what_azures_machines_run_is_fetched_wherever_that_is_done(shelf: Path, tmp_path: Path) -> None:
    runs = {"native": "cp313-cp313-manylinux_2_28_x86_64", "stable": "cp39-abi3-manylinux2014_x86_64",
            "pure": "py3-none-any"}  # fmt: skip
    wheel(shelf, "cp313-cp313-macosx_14_0_arm64", "native")
    (tmp_path / "requirements.txt").write_text("".join(wheel(shelf, tags, name) for name, tags in runs.items()))

    install(tmp_path / "requirements.txt", tmp_path / "into")

    assert {name: (tmp_path / "into" / name / "__init__.py").read_text() for name in runs} == {
        name: f"tags = {tags!r}\n" for name, tags in runs.items()
    }


@pytest.mark.parametrize("tags", ["cp313-cp313-macosx_14_0_arm64", "cp312-cp312-manylinux_2_28_x86_64"])
def test_what_azures_machines_do_not_run_is_refused(shelf: Path, tmp_path: Path, tags: str) -> None:
    (tmp_path / "requirements.txt").write_text(wheel(shelf, tags))

    with pytest.raises(subprocess.CalledProcessError) as refused:
        install(tmp_path / "requirements.txt", tmp_path / "into")

    assert "No matching distribution found for demo==1.0" in refused.value.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"demo==1.0 --hash=sha256:{'0' * 64}\n", "DO NOT MATCH THE HASHES"),
        ("demo==1.0\n", "Hashes are required in --require-hashes mode"),
    ],
)
def test_another_package_than_was_pinned_is_refused(shelf: Path, tmp_path: Path, line: str, said: str) -> None:
    wheel(shelf, "py3-none-any")
    (tmp_path / "requirements.txt").write_text(line)

    with pytest.raises(subprocess.CalledProcessError) as refused:
        install(tmp_path / "requirements.txt", tmp_path / "into")

    assert said in refused.value.stderr


def test_what_is_pinned_is_the_same_for_every_machine() -> None:
    """pip would take a marker (`; sys_platform == …`) for this machine's, whatever platform's wheels it is to get."""
    lines = (ROOT / REQUIREMENTS).read_text().splitlines()
    pinned = [line for line in lines if "==" in line and not line.startswith((" ", "#"))]

    assert pinned
    assert [line for line in pinned if ";" in line] == []
