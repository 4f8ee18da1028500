"""A cloud that keeps packages, and somebody who publishes there."""

from pathlib import Path

import pytest

from tests.infra.cloud import DEPLOYMENT, Cloud
from tools.delivery.deployment import found
from tools.delivery.publishing import Publishing


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    home = tmp_path / "cloud"
    home.mkdir()
    return Cloud.make(home)


@pytest.fixture
def publishing(cloud: Cloud) -> Publishing:
    return Publishing(cloud.azure, found(cloud.azure, DEPLOYMENT), lambda _: None)
