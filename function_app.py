"""What Azure loads: the function app, as `functions/composition` puts it together."""

import gc

# What is loaded at start lives as long as the process: the collector need not look at it meanwhile (a tenth of a cold
# start) nor ever again, and requests make little garbage in cycles, so it may come seldom (4 % of the CPU of an order).
gc.disable()

from functions.composition import compose  # noqa: E402 - the collector rests first
from shared.settings import settings  # noqa: E402 - likewise

app = compose(settings())

gc.freeze()
gc.set_threshold(20_000, 20, 50)
gc.enable()
