"""What Azure loads: the function app, as `functions/composition` puts it together."""

import gc

from functions.composition import compose
from shared.settings import settings

app = compose(settings())

# What is loaded by now lives as long as the process, so the collector need not visit it again and again; requests make
# little garbage in cycles, so it may come seldom. Together 4 % of the CPU of an order.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 50)
