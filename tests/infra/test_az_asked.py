"""What every command of `az` is told beside its own options."""

from pathlib import Path

import pytest

from tests.infra.cloud import Cloud


@pytest.mark.parametrize("subscription", ["", "22222222-0000-0000-0000-000000000002"])
def test_the_subscription_that_azd_names_is_the_one_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subscription: str
) -> None:
    cloud = Cloud.make(tmp_path)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", subscription)

    cloud.azure.token("https://management.azure.com/.default")

    [words] = cloud.commands()
    asked = words[words.index("--subscription") + 1] if "--subscription" in words else ""
    assert asked == subscription
