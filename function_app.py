"""What Azure loads: the function app, as `functions/composition.py` puts it together."""

from functions.composition import compose
from shared.settings import settings

app = compose(settings())
