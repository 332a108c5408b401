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
        BudgetExhausted,
        BulkheadFull,
        CircuitOpenError,
        ContractError,
        DeadlineExceeded,
        FlyballError,
        FlyballWarning,
        RejectedError,
        SettingsError,
        ShedError,
    )
    from flyball.extent import handler, invocation
    from flyball.guard import GuardedTarget, configure, flush, runtime, target
    from flyball.outcome import Outcome
    from flyball.permit import Attempt, Attempts, Permit

__version__ = "0.1.0"

__all__ = [
    "Attempt",
    "Attempts",
    "BudgetExhausted",
    "BulkheadFull",
    "CircuitOpenError",
    "ContractError",
    "DeadlineExceeded",
    "FlyballError",
    "FlyballWarning",
    "GuardedTarget",
    "Outcome",
    "Permit",
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
    "Attempt": "permit",
    "Attempts": "permit",
    "BudgetExhausted": "errors",
    "BulkheadFull": "errors",
    "CircuitOpenError": "errors",
    "ContractError": "errors",
    "DeadlineExceeded": "errors",
    "FlyballError": "errors",
    "FlyballWarning": "errors",
    "GuardedTarget": "guard",
    "Outcome": "outcome",
    "Permit": "permit",
    "RejectedError": "errors",
    "Runtime": "environment",
    "SettingsError": "errors",
    "ShedError": "errors",
    "configure": "guard",
    "flush": "guard",
    "handler": "extent",
    "invocation": "extent",
    "runtime": "guard",
    "target": "guard",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not by importlib: the package of that name would be three modules more in a cold start.
    value: object = getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
