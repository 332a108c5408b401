"""flyball: retries under a budget, graded shedding and circuits, tuned from fleet metrics.

    import flyball

    payments = flyball.target("payments-api", idempotent=True)

    @payments.guard(timeout="timeout_s")
    def charge(order, timeout_s): ...

    @flyball.handler
    def handle(event, context):
        return charge(event["order"])

Works with nothing configured and with everything around it down. This module
only names things: each is loaded at its first use, so that an import costs a
cold start nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take this name for true; typing itself is not loaded here
if TYPE_CHECKING:
    from flyball.environment import Runtime
    from flyball.errors import (
        CircuitOpenError,
        ContractError,
        DeadlineExceeded,
        FlyballError,
        RejectedError,
        SettingsError,
        ShedError,
    )
    from flyball.guard import GuardedTarget, configure, flush, handler, invocation, runtime, target

__version__ = "0.1.0"

__all__ = [
    "CircuitOpenError",
    "ContractError",
    "DeadlineExceeded",
    "FlyballError",
    "GuardedTarget",
    "RejectedError",
    "Runtime",
    "SettingsError",
    "ShedError",
    "__version__",
    "configure",
    "flush",
    "handler",
    "invocation",
    "runtime",
    "target",
]

_HOMES = {
    "CircuitOpenError": "errors",
    "ContractError": "errors",
    "DeadlineExceeded": "errors",
    "FlyballError": "errors",
    "GuardedTarget": "guard",
    "RejectedError": "errors",
    "Runtime": "environment",
    "SettingsError": "errors",
    "ShedError": "errors",
    "configure": "guard",
    "flush": "guard",
    "handler": "guard",
    "invocation": "guard",
    "runtime": "guard",
    "target": "guard",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
