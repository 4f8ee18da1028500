"""What is in a package, and how it is kept."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from local.package import ROOT, packaged, write_package
from shared.settings import SERVICES
from tests.infra.cloud import Cloud
from tests.infra.delivery.support import NOW, kept_as, packed, runs
from tools.delivery.commits import committed, committed_at
from tools.delivery.package import Manifest, PackageDamaged, manifest_beside
from tools.delivery.publishing import Publishing


def test_an_upload_that_was_interrupted_goes_on_where_it_was(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.releases.keep(package, manifest)
    (kept_as(cloud, manifest) / "tessera.json").unlink()
    assert publishing.releases.history().all() == []

    publishing.publish(package, manifest, NOW)

    assert runs(publishing) == manifest.version
    assert [each.name for each in publishing.releases.history().all()] == [manifest.version]


def test_another_package_under_the_same_version_is_not_taken_for_it(
    cloud: Cloud, publishing: Publishing, tmp_path: Path
) -> None:
    package, manifest = packed(tmp_path, "one")
    publishing.releases.keep(package, manifest)
    (kept_as(cloud, manifest) / "tessera.json").unlink()
    (kept_as(cloud, manifest) / "tessera.zip").write_bytes(b"another")

    with pytest.raises(
        PackageDamaged, match=f"^{manifest.version}/tessera.zip in .*Delete that blob, and publish again"
    ):
        publishing.publish(package, manifest, NOW)

    assert cloud.published() == {}


def test_manifests_of_other_versions_are_read(tmp_path: Path) -> None:
    """A way back reads what was written by another commit than the one that is checked out."""
    told = json.loads((Path(__file__).parent / "manifest_of_2026_11.json").read_text())
    path = tmp_path / "tessera.json"
    path.write_text(json.dumps({**told, "made_by": "a later version"}))

    assert Manifest.read(path).version == told["version"]
    path.write_text("{}")
    with pytest.raises(PackageDamaged, match="is no manifest"):
        Manifest.read(path)


def test_an_app_should_have_the_functions_of_its_services(tmp_path: Path) -> None:
    _, manifest = packed(tmp_path, "one")

    assert manifest.wanted(["commerce", "workers"]) == {"commerce_only", "workers_only", "live"}
    assert manifest.wanted(["all"]) == {"live", *(f"{service}_only" for service in SERVICES)}


def test_the_package_of_this_source_has_its_functions_and_a_version_of_its_own(cloud: Cloud, tmp_path: Path) -> None:
    code, text = cloud.command("package", "--no-wheels", "--output", str(tmp_path / "dist" / "tessera.zip"))

    assert code == 0, text
    manifest = manifest_beside(tmp_path / "dist" / "tessera.zip")
    assert manifest.version in text
    with zipfile.ZipFile(tmp_path / "dist" / "tessera.zip") as package:
        assert package.read("version.txt").decode().strip() == manifest.version
    assert (manifest.made_of, manifest.tells_version, manifest.committed_at) == (committed(), True, committed_at())
    named = json.loads((ROOT / "infra" / "policies" / "operations.json").read_text())["operations"]
    assert {name for names in named.values() for name in names} <= manifest.wanted(["all"])


def test_without_git_a_package_is_refused_with_what_to_do(cloud: Cloud, tmp_path: Path) -> None:
    words = ("package", "--no-wheels", "--output", str(tmp_path / "tessera.zip"))

    code, text = cloud.command(*words, PATH=str(cloud.home))

    assert (code, "with git on the PATH" in text, "Traceback" in text) == (1, True, False), text


def test_releases_of_other_deployments_are_not_seen(cloud: Cloud, publishing: Publishing, tmp_path: Path) -> None:
    publishing.publish(*packed(tmp_path, "one"), NOW)
    other = replace(publishing, deployed=publishing.deployed.model_copy(update={"releases_account": "stother"}))

    assert other.releases.history().all() == []


def test_a_manifest_that_was_edited_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "tessera.zip"
    version = write_package(package, commit="abc-dirty")
    told = Manifest(
        version=version, sha256=hashlib.sha256(package.read_bytes()).hexdigest(), functions={}, tells_version=True
    )

    told.check(package)
    with pytest.raises(PackageDamaged, match="says that it is abc-dirty"):
        told.model_copy(update={"version": version.replace("-dirty", "")}).check(package)
    written = tmp_path / "tessera.json"
    written.write_text(told.model_dump_json().replace('"committed_at":null', '"committed_at":"2026-11-22T10:00:00"'))
    with pytest.raises(PackageDamaged, match="timezone"):
        Manifest.read(written)


def test_nothing_else_that_lies_in_the_folder_is_packed(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".funcignore", tmp_path)
    wanted = [
        "function_app.py",
        "functions/sales/orders.py",
        "infra/topology.json",
        "requirements.txt",
        "shared/ids.py",
    ]
    others = [
        "mydata/secrets.json", "prod.env", "functions/dev.env", "shared/tls.pem", "venv3/lib/site.py", "notes.txt",
        "infra/main.bicep", "functions/__pycache__/a.pyc", "functions/.hidden", "tests/test_a.py",
    ]  # fmt: skip
    for name in (*wanted, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert sorted(path.relative_to(tmp_path).as_posix() for path in packaged(tmp_path)) == wanted
