"""The sample of local settings lists exactly what the code reads."""

import json
from pathlib import Path

import pytest

from shared.settings import Settings, SettingsRefused

SAMPLE = Path(__file__).parents[2] / "local.settings.sample.json"


def test_the_sample_lists_every_setting_and_no_other() -> None:
    values = json.loads(SAMPLE.read_text())["Values"]
    hosts_own = {"FUNCTIONS_WORKER_RUNTIME"}
    assert set(values) - hosts_own == {name.upper() for name in Settings.model_fields}


def test_a_missing_setting_is_named_and_no_value_is_shown() -> None:
    with pytest.raises(SettingsRefused) as refused:
        Settings.from_environment({"TESSERA_SIGNING_SECRET": "too-short-but-secret"})
    assert "STRIPE_API_KEY" in str(refused.value)
    assert "TESSERA_SIGNING_SECRET" in str(refused.value)
    assert "too-short-but-secret" not in str(refused.value)
