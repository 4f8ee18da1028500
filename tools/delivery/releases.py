"""Packages that were published, kept as blobs, with what was done with each.

One folder a version: `tessera.zip`, `tessera.json` (what is in it), and marks (`tools/delivery/history.py`). Nothing
is overwritten from here; what nobody needs any more is deleted (`tools/delivery/retention.py`).
"""

import json
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tools.delivery import lease
from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.history import MANIFEST, History, Mark, moment_of
from tools.delivery.package import Manifest, PackageDamaged

CONTAINER: Final = "releases"
PACKAGE: Final = "tessera.zip"
_SECONDS: Final = 600.0  # a package has some megabytes, and a line may be slow


@dataclass(frozen=True, slots=True)
class Releases:
    """The packages that an environment keeps.

    :param account: the storage account
    """

    azure: Azure
    account: str

    def keep(self, package: Path, manifest: Manifest) -> bool:
        """Keep a package under its version; whether it was new. What was interrupted goes on where it was.

        :raises PackageDamaged: another package is kept under this version
        :raises AzureFailed: Azure refused
        """
        names = self.names()
        if f"{manifest.version}/{MANIFEST}" in names:
            return False
        with tempfile.TemporaryDirectory(prefix="tessera-release-") as folder:
            if f"{manifest.version}/{PACKAGE}" in names:  # somebody was interrupted between the two
                self._download(f"{manifest.version}/{PACKAGE}", Path(folder) / PACKAGE)
                self._check(Path(folder) / PACKAGE, manifest, "Delete that blob, and publish again.")
            else:
                self._upload(package, f"{manifest.version}/{PACKAGE}")
            told = Path(folder) / MANIFEST
            told.write_text(manifest.model_dump_json(indent=2))
            self._upload(told, f"{manifest.version}/{MANIFEST}")  # last: a version without it is not whole
        return True

    def mark(self, version: str, mark: Mark, now: datetime) -> None:
        """Write something down of a version.

        :raises AzureFailed: Azure refused
        """
        with tempfile.TemporaryDirectory(prefix="tessera-release-") as folder:
            told = Path(folder) / "mark.json"
            told.write_text(json.dumps({"version": version, "mark": mark, "at": now.isoformat()}))
            self._upload(told, f"{version}/{mark}/{moment_of(now)}")

    def history(self) -> History:
        """What was done with each version.

        :raises AzureFailed: Azure does not tell
        """
        return History.of(self.names())

    def alone(self, tell: Callable[[str], None], wait_seconds: float) -> AbstractContextManager[lease.Lease]:
        """Be the only one who publishes or deletes here, as long as the block lasts.

        :raises Occupied: somebody else is, for longer than that
        :raises AzureFailed: Azure refused
        """
        return lease.alone(self.azure, self._where(), tell, wait_seconds=wait_seconds)

    def manifest(self, version: str) -> Manifest:
        """What is in the package of a version.

        :raises AzureFailed: it cannot be had
        :raises PackageDamaged: it is none
        """
        with tempfile.TemporaryDirectory(prefix="tessera-release-") as folder:
            told = Path(folder) / MANIFEST
            self._download(f"{version}/{MANIFEST}", told)
            return Manifest.read(told)

    def fetch(self, version: str, folder: Path) -> tuple[Path, Manifest]:
        """The package of a version and what is in it.

        :raises PackageDamaged: it is not the one that was kept
        :raises AzureFailed: it cannot be had
        """
        package, manifest = folder / PACKAGE, self.manifest(version)
        self._download(f"{version}/{PACKAGE}", package)
        self._check(package, manifest, "Go back to another version: `rollback --to`.")
        return package, manifest

    def names(self) -> list[str]:
        """The names of everything that is kept.

        :raises AzureFailed: Azure does not tell
        """
        words = ("--query", "[].name", "--num-results", "*")
        names: list[str] | None = self.azure.ask("storage", "blob", "list", *self._where(), *words)
        return names or []

    def written(self) -> dict[str, datetime]:
        """The names of everything that is kept, and when each was written, by Azure's clock.

        :raises AzureFailed: Azure does not tell
        """
        words = ("--query", "[].{name: name, at: properties.lastModified}", "--num-results", "*")
        found: list[dict[str, str]] | None = self.azure.ask("storage", "blob", "list", *self._where(), *words)
        return {each["name"]: datetime.fromisoformat(each["at"]) for each in found or []}

    def delete(self, name: str) -> None:
        """Delete something for good: for a week the account has it still.

        :raises AzureFailed: Azure refused
        """
        self.azure.ask("storage", "blob", "delete", *self._where(), "--name", name)

    def _check(self, package: Path, manifest: Manifest, advice: str) -> None:
        try:
            manifest.check(package)
        except PackageDamaged:
            raise PackageDamaged(
                f"{manifest.version}/{PACKAGE} in {self.account} is not what was made as version {manifest.version}; "
                f"nothing was published. {advice}"
            ) from None

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
