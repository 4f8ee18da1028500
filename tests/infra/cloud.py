"""A cloud for delivery's commands: the double of `az` over a folder, and whoever calls them."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from local.package import ROOT
from shared.version import UNPACKAGED
from tools.delivery.azure import Azure
from tools.delivery.history import Mark, moment_of
from tools.delivery.package import Manifest, functions_in

DEPLOYMENT: Final = "tessera-dev"
APPS: Final = ("tessera-dev-commerce", "tessera-dev-workers")
ACCOUNT: Final = "streleases"
OUTPUTS: Final = {  # in the letters that az makes of them
    "azurE_RESOURCE_GROUP": "rg-tessera-dev",
    "gatewaY_URL": "https://gateway.tessera.example",
    "functioN_APPS": ",".join(APPS),
    "applicatioN_INSIGHTS_APP_ID": "00000000-0000-0000-0000-000000000001",
    "keY_VAULT_NAME": "kv-tessera-dev",
    "releaseS_ACCOUNT": ACCOUNT,
}


@dataclass(frozen=True)
class Cloud:
    """What `az` sees."""

    home: Path

    @classmethod
    def make(cls, home: Path) -> "Cloud":
        """One with a deployment and its vault, and nothing else."""
        program = home / "az"
        program.write_text(
            f'#!/bin/sh\nAZ_DOUBLE="{home}" exec "{sys.executable}" -I -S "{ROOT}/tests/doubles/az.py" "$@"\n'
        )
        program.chmod(0o700)
        cloud = cls(home)
        cloud.write("deployments", cloud.made())
        services = {APPS[0]: "commerce,identity", APPS[1]: "insights,workers"}
        cloud.write("settings", {app: {"TESSERA_SERVICES": named} for app, named in services.items()})
        cloud.write("claims", {"oid": "11111111-0000-0000-0000-000000000001", "idtyp": "app"})
        return cloud

    @staticmethod
    def made() -> dict[str, dict[str, dict[str, str]]]:
        """What was deployed, and what that put out."""
        first = ("azurE_RESOURCE_GROUP", "keY_VAULT_NAME", "releaseS_ACCOUNT")
        vault = outputs({name: OUTPUTS[name] for name in first})
        return {DEPLOYMENT: outputs(OUTPUTS), f"{DEPLOYMENT}-vault": vault}

    @property
    def azure(self) -> Azure:
        """Asks this cloud."""
        return Azure(program=str(self.home / "az"))

    def read(self, name: str) -> Any:
        """A part of its state."""
        path = self.home / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def write(self, name: str, value: Any) -> None:
        """Change a part of its state."""
        (self.home / f"{name}.json").write_text(json.dumps(value))

    def commands(self) -> list[list[str]]:
        """Every command line that `az` was called with."""
        path = self.home / "commands"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def published(self) -> dict[str, bytes]:
        """App → its package."""
        return {path.name: path.read_bytes() for path in sorted((self.home / "published").glob("*"))}

    def pack_as_here(self) -> Manifest:
        """A package of this source, whose functions the apps have, and which says that it is none."""
        package = self.home / "tessera.zip"
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("function_app.py", "")
        sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
        manifest = Manifest(version=UNPACKAGED, sha256=sha256, functions=_functions(), tells_version=True)
        package.with_suffix(".json").write_text(manifest.model_dump_json())
        services = {app: told["TESSERA_SERVICES"].split(",") for app, told in self.read("settings").items()}
        self.write("functions", {app: sorted(manifest.wanted(named)) for app, named in services.items()})
        return manifest

    def runs(self, manifest: Manifest) -> None:
        """As if its package, which lies here, had been published to every app."""
        kept = self.once(manifest.version, datetime(2026, 5, 1, tzinfo=UTC))
        for path in (self.home / "tessera.zip", self.home / "tessera.json"):
            (kept / path.name).write_bytes(path.read_bytes())

    def once(self, version: str, moment: datetime) -> Path:
        """As if a version had been published then; where it is kept, without a package."""
        kept = self.home / "blobs" / ACCOUNT / "releases" / version
        for mark in (Mark.PUBLISHING, Mark.PUBLISHED):
            (kept / mark).mkdir(parents=True)
            (kept / mark / moment_of(moment)).touch()
            os.utime(kept / mark / moment_of(moment), (moment.timestamp(), moment.timestamp()))
        return kept

    def command(self, *words: str, **environment: str) -> tuple[int, str]:
        """A delivery command as somebody at a terminal calls it: its exit code, and all it printed."""
        own: Mapping[str, str] = {**os.environ, "PATH": f"{self.home}:{os.environ['PATH']}", **environment}
        line = [sys.executable, "-m", "tools.delivery", *words]
        done = subprocess.run(line, cwd=ROOT, env=own, check=False, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr


@cache
def _functions() -> dict[str, tuple[str, ...]]:
    return functions_in(ROOT)


def outputs(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """As a deployment puts them out."""
    return {name: {"type": "String", "value": value} for name, value in values.items()}
