"""Settings → adapters → use cases → functions."""

import azure.functions as func

from functions.composition.adapters import Adapters, choose_adapters, choose_telemetry
from functions.composition.services import assemble, function_app
from functions.composition.use_cases import UseCases, use_cases
from shared.settings import Settings
from shared.telemetry import export_to, quieten_libraries

__all__ = ["Adapters", "UseCases", "assemble", "choose_adapters", "compose", "function_app", "use_cases"]


def compose(settings: Settings) -> func.FunctionApp:
    """The function app for these settings."""
    quieten_libraries()
    exporter = choose_telemetry(settings)
    export_to(exporter, sampling_ratio=settings.tessera_trace_sampling)
    adapters = choose_adapters(settings, traced=exporter is not None)
    return function_app(settings, adapters, use_cases(settings, adapters))
