"""What a package is: the zip of `make package`, its version, and the functions that each service has in it."""

import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from local.package import REQUIREMENTS, ROOT, index, write_package
from shared.settings import SERVICES
from shared.version import FILE, UNPACKAGED, version_in
from tools.delivery.commits import DIRTY, committed, committed_at
from tools.delivery.wheels import install


class PackageDamaged(Exception):
    """A package is not the one its manifest tells of."""


class Unfit(Exception):
    """A package that people are not to be served by."""


class Older(Exception):
    """What runs is of a newer commit than the package; nothing was changed, and the message says what to do."""


class Manifest(BaseModel):
    """What is in a package.

    :param version: the commit it was made from, and a checksum of its content: another content is another version
    :param sha256: of the zip
    :param functions: service → the names of its functions, those that every app has among them
    :param tells_version: whether its apps say which version they are; packages of before 2026-11-22 do not
    :param committed_at: when that commit was made; None: nobody wrote it down
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a way back reads what another version of this wrote

    version: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    functions: Mapping[str, tuple[str, ...]]
    tells_version: bool = False
    committed_at: AwareDatetime | None = None

    @property
    def made_of(self) -> str:
        """The commit, with `-dirty` where something was changed since."""
        return self.version.rpartition("-")[0]

    @property
    def commit(self) -> str:
        """The commit alone."""
        return self.made_of.removesuffix(DIRTY)

    @classmethod
    def read(cls, told: Path) -> Self:
        """A manifest of today or of a version before.

        :raises PackageDamaged: it is none
        """
        try:
            return cls.model_validate_json(told.read_text())
        except (OSError, ValueError) as error:
            raise PackageDamaged(
                f"{told} is no manifest: `make package` writes one beside the zip ({error})"
            ) from error

    @classmethod
    def of(cls, package: Path, committed_at: datetime) -> Self:
        """What a clean interpreter finds in a package, whose version is what it says itself.

        :raises subprocess.CalledProcessError: it cannot be loaded
        """
        with tempfile.TemporaryDirectory(prefix="tessera-package-") as folder:
            zipfile.ZipFile(package).extractall(folder)
            found, version = functions_in(Path(folder)), version_in(Path(folder))
        return cls(
            version=version, sha256=_sha256(package), functions=found, tells_version=True, committed_at=committed_at
        )

    def check(self, package: Path) -> None:
        """:raises PackageDamaged: the file is another one, or says that it is another version"""
        if _sha256(package) != self.sha256:
            raise PackageDamaged(f"{package} is not what was made as version {self.version}: `make package` again")
        if self.tells_version and (says := _version_of(package)) != self.version:
            raise PackageDamaged(
                f"{package} says that it is {says}, and its manifest {self.version}: `make package` again"
            )

    def wanted(self, services: Sequence[str]) -> frozenset[str]:
        """The functions of an app that runs these services."""
        named = SERVICES if "all" in services else services
        return frozenset(name for service in named for name in self.functions[service])


def functions_in(folder: Path) -> dict[str, tuple[str, ...]]:
    """Service → the names of its functions, of an unpacked package or the source itself."""
    return {service: tuple(sorted(name for _, name in index(folder, service)["functions"])) for service in SERVICES}


def make(output: Path, *, wheels: bool) -> Manifest:
    """Write the package and, beside it, its manifest.

    :param wheels: whether it brings the packages of requirements.txt; else Azure's own build installs them
    :raises subprocess.CalledProcessError: packages cannot be had, or it cannot be loaded
    :raises NoRepository: git does not say which commit it is made of
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tessera-wheels-") as folder:
        if wheels:
            install(ROOT / REQUIREMENTS, Path(folder))
        write_package(output, commit=committed(), packages=Path(folder) if wheels else None)
    manifest = Manifest.of(output, committed_at())
    output.with_suffix(".json").write_text(manifest.model_dump_json(indent=2))
    return manifest


def manifest_beside(package: Path) -> Manifest:
    """The manifest that `make` wrote beside a package.

    :raises PackageDamaged: there is none, or it is of another package
    """
    manifest = Manifest.read(package.with_suffix(".json"))
    try:
        manifest.check(package)
    except OSError as error:
        raise PackageDamaged(f"{package} cannot be read: `make package` writes it ({error})") from error
    return manifest


def misgivings(manifest: Manifest, head: str, *, strict: bool) -> list[str]:
    """What speaks against a package: made of what nobody committed, or of another commit than is checked out; pure.

    :param head: the commit that is checked out; empty: none is
    :param strict: whether that is refused
    :raises Unfit: it is
    """
    found = []
    if manifest.made_of.endswith(DIRTY):
        found.append(f"{manifest.version} was made of files that are not committed")
    if head and manifest.commit != head:
        found.append(f"{manifest.version} was made of another commit than {head}, which is checked out")
    if found and strict:
        raise Unfit(f"{'; '.join(found)}. Nothing was changed: commit, `make package`, and publish that.")
    return found


def refuse_older(new: Manifest, runs: Manifest, leads_to: Callable[[str, str], bool]) -> None:
    """Refuse a package of an older commit than what runs, as of a pipeline's run that was overtaken.

    Commits say which of them is older, where somebody knows them both; else their times do. Where nothing does, it is
    not older.

    :param leads_to: whether one commit is surely among those that another was made upon
    :raises Older: it is older
    """
    if new.commit == runs.commit or leads_to(runs.commit, new.commit):
        return
    times = new.committed_at and runs.committed_at and new.committed_at < runs.committed_at
    if times or leads_to(new.commit, runs.commit):
        raise Older(
            f"{_dated(new)} is older than {_dated(runs)}, which runs, so nothing was changed. To go back, "
            f"`rollback --to {new.version}` if it is kept, else `publish --older`; "
            "a pipeline takes a commit that reverts."
        )


def _dated(manifest: Manifest) -> str:
    at = manifest.committed_at
    return f"{manifest.version} (of {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC)" if at else manifest.version


def _version_of(package: Path) -> str:
    try:
        with zipfile.ZipFile(package) as archive:
            return archive.read(FILE).decode().strip() if FILE in archive.namelist() else UNPACKAGED
    except zipfile.BadZipFile:
        raise PackageDamaged(f"{package} is no zip: `make package` again") from None


def _sha256(package: Path) -> str:
    with package.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
