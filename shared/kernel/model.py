"""The base of what is read from elsewhere: documents, messages, requests."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A model whose errors say where something is wrong and never what stands there: errors are logged."""

    model_config = ConfigDict(hide_input_in_errors=True)
