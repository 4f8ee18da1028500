"""Packages, and pipelines that deliver them."""

import hashlib
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shared.settings import SERVICES
from tests.infra.cloud import Cloud
from tools.delivery.history import Mark
from tools.delivery.package import Manifest
from tools.delivery.publishing import Publishing

NOW: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)


def packed(folder: Path, content: str) -> tuple[Path, Manifest]:
    """A package, with a manifest beside it."""
    path = folder / content / "tessera.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("function_app.py", content)

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    functions = {service: (f"{service}_only", "live") for service in SERVICES}
    manifest = Manifest(version=f"{content}-{sha256[:8]}", sha256=sha256, functions=functions)
    path.with_suffix(".json").write_text(manifest.model_dump_json())
    return path, manifest


def at(hour: int, minute: int = 0) -> datetime:
    return NOW.replace(hour=hour, minute=minute)


def delivered(publishing: Publishing, package: tuple[Path, Manifest], hour: int, *, passes: bool = True) -> str:
    """As a pipeline does it."""
    publishing.publish(*package, at(hour))
    if passes:
        publishing.releases.mark(package[1].version, Mark.PASSED, at(hour, 30))
    return package[1].version


def runs(publishing: Publishing) -> str:
    running = publishing.releases.history().running()
    return running.version if running and running.whole else ""


def kept_as(cloud: Cloud, manifest: Manifest) -> Path:
    return cloud.home / "blobs" / "streleases" / "releases" / manifest.version
