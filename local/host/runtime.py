"""The door to Azure's own runtime library: it indexes `function_app.py` and executes every invocation.

The library is written for gRPC messages but asks only for objects with the right attributes, so plain classes stand in
for its `protos`; invocations go through `native_invocation`, which needs none at all.
"""

import asyncio
import random
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from azure_functions_runtime import handle_event, native_invocation
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.bindings.meta import load_binding_registry
from azure_functions_runtime.utils.threadpool import start_threadpool_executor, stop_threadpool_executor

from local.host.errors import StartRefused
from local.host.logs import Invocation, current_invocation
from local.host.triggers import Function, Metadata

__all__ = ["Datum", "Outcome", "Runtime", "index"]

SCRIPT = "function_app.py"
_VARIANTS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}  # RFC 9562 section 4.1


class _Message:
    """A stand-in for a generated protobuf class: what it is given, as attributes."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class _BindingInfo(_Message):
    # The numbers of the enumerations Direction and DataType in FunctionRpc.proto.
    out: ClassVar[int] = 1
    inout: ClassVar[int] = 2
    undefined: ClassVar[int] = 0


class _Protos:
    """The part of the generated `protos` module that indexing uses."""

    BindingInfo = _BindingInfo
    RpcRetryOptions = _Message
    RpcFunctionMetadata = _Message


def index(app: Path) -> Sequence[Metadata]:
    """Import the app's `function_app.py` and register its functions with the runtime library, once per process.

    :param app: its folder; goes first on `sys.path`, as the worker does it
    :raises StartRefused: there is no such file, it fails to import, or a function does not fit its bindings
    """
    script = app / SCRIPT
    if not script.is_file():
        raise StartRefused(f"There is no {SCRIPT} in {app}")
    load_binding_registry()
    start_threadpool_executor()
    handle_event.protos = _Protos
    sys.path.insert(0, str(app))
    try:
        indexed = handle_event.index_functions(str(script), str(app))
    except (Exception, SystemExit) as error:
        cause = error.__cause__ or error
        # The library appends a help text and the whole sys.path to a failed import.
        told = str(cause).split(". Cannot find module.", 1)[0]
        trace = "".join(traceback.format_exception(error)[:-1])
        raise StartRefused(f"{trace}{script} could not be loaded: {type(cause).__name__}: {told}") from None
    metadata: Sequence[Metadata] = indexed or ()
    return metadata


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended.

    :param value: the `$return` datum of a function that succeeded
    :param error: the exception as one line, empty on success
    """

    invocation: Invocation
    ok: bool
    value: Datum | None = None
    error: str = ""
    traceback: str = ""


class Runtime:
    """Executes functions.

    :param timeout_seconds: `functionTimeout` of host.json, or infinity
    """

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = None if timeout_seconds == float("inf") else timeout_seconds

    async def invoke(
        self,
        function: Function,
        value: Datum,
        metadata: Mapping[str, Datum],
        *,
        correlation_id: str = "",
        trace_parent: str = "",
        trace_state: str = "",
        retry_count: int = 0,
        retry_error: str | None = None,
    ) -> Outcome:
        """Call `function` with its trigger's value; never raises but for cancellation.

        A synchronous function that exceeds the timeout keeps its thread: Python cannot stop it.
        """
        invocation = Invocation(_name(), function.name, correlation_id)
        token = current_invocation.set(invocation)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                ok, returned, _, error, trace = await native_invocation.invocation_request_native(
                    invocation.id,
                    function.id,
                    [(function.arg, value)],
                    metadata,
                    trace_parent,
                    trace_state,
                    retry_count,
                    function.retry.max_retry_count if function.retry else 0,
                    retry_error,
                )
        except TimeoutError:
            return Outcome(invocation, ok=False, error=f"TimeoutError: not done after {self._timeout_seconds} s")
        finally:
            current_invocation.reset(token)
        if ok:
            return Outcome(invocation, ok=True, value=returned)
        return Outcome(invocation, ok=False, error=error or "", traceback=trace or "")

    def close(self) -> None:
        """Let the threads of synchronous functions end."""
        stop_threadpool_executor()


def _name() -> str:
    """A UUID (version 4) without asking the kernel for randomness, which costs 10 µs: it names, it guards nothing."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"
