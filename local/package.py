"""For `make package`: the zip that Azure runs, and what is in it. `.funcignore` says what stays at home.

The package tells its own version (`shared/version.py`): the commit it was made of, and a checksum of all else in it.

The source is compiled here, once, because a function app's folder is read-only and each cold start would compile it
again (about a third of the start). The files carry no times and are in one order: the same source gives the same bytes.

It brings the packages of requirements.txt with it, so that Azure's own build has nothing to do (docs/adr/0019…).
"""

import hashlib
import json
import os
import platform
import py_compile
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pathspec

from shared.version import FILE, UNPACKAGED

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ".python_packages/lib/site-packages"  # where Azure's worker looks for them
# `az` lets Azure build every Python package, and a build installs what requirements.txt names: nothing, in this one.
BUILT: Final = b"# All packages are in .python_packages already, as requirements.txt of the repository pins them.\n"
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say
REQUIREMENTS: Final = "requirements.txt"
_OF_PIP: Final = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
_CHECKSUM_CHARACTERS: Final = 8
_READABLE: Final = 0o100644  # who runs the app is not who unpacked it; a zip's default is for its owner only
_INDEX: Final = """
import json, sys, time
began = time.perf_counter()
import function_app
functions = function_app.app.get_functions()
took = (time.perf_counter() - began) * 1000
kinds = sorted((function.get_trigger().get_binding_name(), function.get_function_name()) for function in functions)
modules = sorted(name.partition(".")[0] for name in sys.modules)
print(json.dumps({"milliseconds": took, "functions": kinds, "modules": modules}))
"""
# Enough to be indexed; nothing is opened by that.
_SETTINGS: Final = {
    "TESSERA_STORE": "cosmos",
    "TESSERA_BUS": "servicebus",
    "COSMOS__accountEndpoint": "https://tessera.documents.azure.com",
    "SERVICEBUS__fullyQualifiedNamespace": "tessera.servicebus.windows.net",
    "TESSERA_SIGNING_SECRET": "x" * 64,
    "TESSERA_TICKET_KEY": "A" * 43,
    "TESSERA_PUBLIC_URL": "https://tickets.tessera.example",
    "AUTH_AUTHORITIES": "https://sign-in.tessera.example",
    "AUTH_AUDIENCE": "api://tessera",
    "STRIPE_API_KEY": "sk_test",
    "STRIPE_WEBHOOK_SECRET": "whsec",
    "SMTP_HOST": "smtp.tessera.example",
    "INSIGHTS_API_KEY": "x" * 64,
}


def write_package(output: Path, root: Path = ROOT, *, commit: str = UNPACKAGED, packages: Path | None = None) -> str:
    """Write the zip; the version that it says it is, which another content has by one chance in four thousand million.

    :param commit: what it is made of
    :param packages: a folder with the packages that it brings; None: Azure's own build installs them
    """
    checksum = hashlib.sha256()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in _entries(root, packages):
            checksum.update(f"{entry}\0{len(content)}\0".encode() + content)
            _write(archive, entry, content)
        version = f"{commit}-{checksum.hexdigest()[:_CHECKSUM_CHARACTERS]}"
        _write(archive, FILE, f"{version}\n".encode())
    return version


def _entries(root: Path, packages: Path | None) -> Iterator[tuple[str, bytes]]:
    for path in packaged(root):
        name = path.relative_to(root).as_posix()
        yield name, BUILT if packages and name == REQUIREMENTS else path.read_bytes()
        yield from _compiled(path, name)
    for path in brought(packages) if packages else ():
        name = f"{PACKAGES}/{path.relative_to(packages or root).as_posix()}"
        yield name, path.read_bytes()
        yield from _compiled(path, name)


def brought(packages: Path) -> Iterator[Path]:
    """The files of installed packages, without what tells of the machine that installed them."""
    for path in sorted(each for each in packages.rglob("*") if each.is_file()):
        parts = path.relative_to(packages).parts
        if parts[0] != "bin" and "__pycache__" not in parts and path.name not in _OF_PIP:
            yield path


def _write(archive: zipfile.ZipFile, entry: str, content: bytes) -> None:
    info = zipfile.ZipInfo(entry, _MOMENT)
    info.external_attr = _READABLE << 16
    archive.writestr(info, content, zipfile.ZIP_DEFLATED)


def packaged(root: Path = ROOT) -> Iterator[Path]:
    """The files that `.funcignore` leaves, in the order of their names."""
    ignored = pathspec.GitIgnoreSpec.from_lines((root / ".funcignore").read_text().splitlines())
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        # A folder is not entered if it is ignored, except for one of whose files that is taken back.
        folders[:] = sorted(name for name in folders if not ignored.match_file(f"{(here / name).as_posix()}/"))
        yield from (root / here / name for name in sorted(files) if not ignored.match_file((here / name).as_posix()))


def index(folder: Path, services: str) -> dict[str, Any]:
    """What a clean interpreter finds in an unpacked package, with the packages it brings, if this machine runs them.

    :returns: its `functions` (trigger and name), the loaded `modules`, and how many `milliseconds` that took

    :raises subprocess.CalledProcessError: it cannot be loaded
    """
    brings = (folder / PACKAGES).is_dir() and (sys.platform, platform.machine()) == ("linux", "x86_64")
    alone = {"PYTHONPATH": str(folder / PACKAGES)} if brings else {}
    found = subprocess.run(
        [sys.executable, *(["-S"] if brings else []), "-c", _INDEX],  # without those that are installed here
        cwd=folder,
        env={**environment(services), **alone},
        check=True,
        capture_output=True,
        text=True,
    )
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def environment(services: str) -> Mapping[str, str]:
    """Settings with which a package can be loaded, and nothing of this process's own but where programs are."""
    return {"PATH": os.environ.get("PATH", ""), **_SETTINGS, "TESSERA_SERVICES": services}


def _compiled(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    if path.suffix != ".py":
        return
    with tempfile.NamedTemporaryFile(suffix=".pyc") as target:
        # Not compared with the source, whose times a zip would not keep.
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), target.name, dfile=name, doraise=True, invalidation_mode=mode)
        tag = sys.implementation.cache_tag
        compiled = Path(name).parent / "__pycache__" / f"{path.stem}.{tag}.pyc"
        yield compiled.as_posix(), Path(target.name).read_bytes()
