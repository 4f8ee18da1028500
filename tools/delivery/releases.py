"""Packages that were published, kept as blobs, and which of them passed its smoke test.

One folder a version: `tessera.zip`, `tessera.json` (what is in it), and `passed/<moment>` for each smoke test it
passed. Nothing is ever overwritten, so what is said of a version stays said.
"""

import json
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.package import Manifest

CONTAINER: Final = "releases"
PACKAGE: Final = "tessera.zip"
MANIFEST: Final = "tessera.json"
_PASSED: Final = "passed"
_SECONDS: Final = 600.0  # a package has some megabytes, and a line may be slow


class NothingToGoBackTo(Exception):
    """No other version has passed its smoke test here."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version, and when it last passed its smoke test; empty: never."""

    version: str
    passed_at: str


@dataclass(frozen=True, slots=True)
class Releases:
    """The packages that an environment keeps.

    :param account: the storage account
    """

    azure: Azure
    account: str

    def keep(self, package: Path, manifest: Manifest) -> bool:
        """Keep a package under its version; whether it was new.

        :raises AzureFailed: Azure refused
        """
        if f"{manifest.version}/{MANIFEST}" in self._names():
            return False
        self._upload(package, f"{manifest.version}/{PACKAGE}")
        with tempfile.TemporaryDirectory(prefix="tessera-release-") as folder:
            told = Path(folder) / MANIFEST
            told.write_text(manifest.model_dump_json(indent=2))
            self._upload(told, f"{manifest.version}/{MANIFEST}")  # last: a version without it is not whole
        return True

    def passed(self, version: str, now: datetime) -> None:
        """Write down that a version works here.

        :raises AzureFailed: Azure refused
        """
        with tempfile.TemporaryDirectory(prefix="tessera-release-") as folder:
            told = Path(folder) / "passed.json"
            told.write_text(json.dumps({"version": version, "passed_at": now.isoformat()}))
            self._upload(told, f"{version}/{_PASSED}/{now:%Y%m%dT%H%M%SZ}")

    def all(self) -> list[Release]:
        """Every whole version, those that passed last first.

        :raises AzureFailed: Azure does not tell
        """
        found: dict[str, str] = {}
        names = self._names()
        for name in sorted(names):
            version, _, rest = name.partition("/")
            if f"{version}/{MANIFEST}" not in names:
                continue
            kind, _, moment = rest.partition("/")
            found[version] = max(found.get(version, ""), moment if kind == _PASSED else "")
        return sorted((Release(*pair) for pair in found.items()), key=lambda each: each.passed_at, reverse=True)

    def to_go_back_to(self, failed: str) -> Release:
        """The version that passed last, other than the one that failed.

        :raises NothingToGoBackTo: there is none
        :raises AzureFailed: Azure does not tell
        """
        for release in self.all():
            if release.passed_at and release.version != failed:
                return release
        raise NothingToGoBackTo(
            f"No other version than {failed} has passed its smoke test here, so it stays. Mend it and publish again."
        )

    def fetch(self, version: str, folder: Path) -> tuple[Path, Manifest]:
        """The package of a version and what is in it; whoever publishes it compares the two.

        :raises AzureFailed: it cannot be had
        """
        package, told = folder / PACKAGE, folder / MANIFEST
        self._download(f"{version}/{PACKAGE}", package)
        self._download(f"{version}/{MANIFEST}", told)
        return package, Manifest.model_validate_json(told.read_text())

    def _names(self) -> list[str]:
        words = ("--query", "[].name", "--num-results", "*")
        names: list[str] | None = self.azure.ask("storage", "blob", "list", *self._where(), *words)
        return names or []

    def _upload(self, path: Path, name: str) -> None:
        words = ("--name", name, "--file", str(path), "--overwrite", "false", "--no-progress")
        self.azure.ask("storage", "blob", "upload", *self._where(), *words, seconds=_SECONDS)

    def _download(self, name: str, path: Path) -> None:
        words = ("--name", name, "--file", str(path), "--no-progress")
        self.azure.ask("storage", "blob", "download", *self._where(), *words, seconds=_SECONDS)
        if not path.exists():
            raise AzureFailed(f"az storage blob download left no {path.name}")

    def _where(self) -> tuple[str, ...]:
        return ("--account-name", self.account, "--auth-mode", "login", "--container-name", CONTAINER)
