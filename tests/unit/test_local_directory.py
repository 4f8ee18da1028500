"""The directory of a data directory: its certificate is private, and the settings that name it are accepted."""

import json
import stat
from pathlib import Path

from functions.composition.adapters import choose_directory
from local.directory import CLIENT_ID, directory_settings, registration
from local.emulators.entra.applications import read_applications
from local.emulators.entra.graph_users import DOMAIN
from shared.directory.certificate import read_certificate
from shared.directory.guarded import GuardedDirectory
from tests.factories.settings import settings

URL, TENANT = "https://127.0.0.1:7080", "7e55e2a0-0000-4000-8000-000000000001"


def chosen(data: Path) -> dict[str, str]:
    return dict(directory_settings(data, url=URL, tenant=TENANT, ca=data / "ca.pem"))


def test_the_certificate_is_made_once_readable_by_its_owner_only_and_registered_without_its_key(tmp_path: Path) -> None:
    file = registration(tmp_path)
    before = file.read_text()

    assert (registration(tmp_path).read_text(), "PRIVATE" in before) == (before, False)
    assert {path.name: stat.filemode(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        "directory.pem": "-rw-------",
        "applications.json": "-rw-------",
    }
    (app,) = read_applications(file)
    own = read_certificate(chosen(tmp_path)["DIRECTORY_CERTIFICATE"])
    assert (app.id, app.certificates) == (CLIENT_ID, (own.certificate,))
    assert json.loads(before)[0]["roles"] == {
        "https://graph.microsoft.com": ["User.ReadWrite.All", "User.DeleteRestore.All"]
    }


def test_its_settings_make_a_directory_and_without_them_there_is_none(tmp_path: Path) -> None:
    given = {name.lower(): value for name, value in chosen(tmp_path).items()}

    assert isinstance(choose_directory(settings(tmp_path, **given)), GuardedDirectory)
    assert choose_directory(settings(tmp_path)) is None
    assert given["directory_issuer"] == DOMAIN
