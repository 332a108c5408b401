"""All references by name, ready for the plant.

    reference = REFERENCES["static-3"]
    World(..., new_target=plant_targets(reference), ...)

A reference with a `controller` also needs its fleet's counters once a minute:
`controller()` makes a fresh one for a run, and calling that with the sum of the
minute's counters returns the parameters to publish. Metric lag, deployment and
polling, the dead time of every outer loop, are the caller's: both this and our
own controller must bear the same.

`flyball` cannot be built here: its client needs the name of the target that the
published circuits carry, and its controller a policy. The closed-loop harness
builds it; the entry holds its title, so that lists and tables have one source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn, cast

from flyball.call import Target
from flyball.contract import TargetParams
from flyball.hints import did_you_mean
from flyball.outcome import Counters
from flyball_analytics.references import breakers, budgets, retries, throttles

FLYBALL = "flyball"
FLYBALL_STATIC = "flyball-static"

MinuteController = Callable[[Counters], TargetParams]


class Reference(NamedTuple):
    """One algorithm to compare with.

    `new_target` makes the client of one new environment; `controller` makes the
    outer loop of one run, or is None; `source` says where formula and defaults
    were read.
    """

    name: str
    new_target: Callable[[], object]
    controller: Callable[[], MinuteController] | None
    title: str
    source: str


class UnknownReference(LookupError):  # noqa: N818  # it names what was asked for, as KeyError does
    """A name that is no reference; `name` holds it, `known` all that are."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"reference={name!r} is not known{did_you_mean(name, known, listing='known are')}")
        self.name = name
        self.known = known


class HarnessBuilt(RuntimeError):  # noqa: N818  # says who builds it
    """A reference whose client and controller only the closed-loop harness can build."""


def _harness_built() -> NoReturn:
    raise HarnessBuilt(
        "reference='flyball' has no client of its own: the closed-loop harness builds it with the target's "
        "name and a policy; 'flyball-static' is the same client without a controller"
    )


_AWS = "boto/botocore, botocore/retries"
_SRE = "Site Reliability Engineering, ch. 21 Handling Overload"

_ALL = (
    Reference("none", retries.no_retries, None, "no retries", "baseline"),
    Reference("static-1", retries.static_1, None, "1 static retry", "docs/article.md"),
    Reference("static-3", retries.static_3, None, "3 static retries", "docs/article.md"),
    Reference(
        "ladder-rule",
        retries.LadderTarget,
        retries.LadderRule,
        "3 -> 1 retries over 20 % errors, on minute metrics",
        "docs/article.md",
    ),
    Reference(
        "aws-standard-old",
        budgets.aws_standard_old,
        None,
        "AWS SDK standard mode until 2026-11",
        f"{_AWS}/standard.py, quota.py (mode version 2.0)",
    ),
    Reference(
        "aws-standard-2026",
        budgets.aws_standard_2026,
        None,
        "AWS SDK standard mode since 2026-11",
        f"{_AWS}/standard.py, quota.py (mode version 2.1)",
    ),
    Reference(
        "aws-adaptive",
        throttles.aws_adaptive,
        None,
        "AWS SDK adaptive mode (CUBIC rate)",
        f"{_AWS}/adaptive.py, throttling.py, bucket.py",
    ),
    Reference(
        "sre-adaptive-throttling",
        throttles.sre_adaptive_throttling,
        None,
        "SRE adaptive throttling K=2, 10 % retries",
        _SRE,
    ),
    Reference(
        "finagle-budget",
        budgets.finagle_budget,
        None,
        "Finagle retry budget 20 %, 10/s reserve",
        "twitter/finagle, service/RetryBudget.scala",
    ),
    Reference(
        "linkerd",
        budgets.finagle_budget,
        None,
        "Linkerd retry budget 20 %, 10/s minimum",
        "linkerd/linkerd2-proxy and the ServiceProfile reference; Finagle's form and defaults",
    ),
    Reference(
        "envoy-budget",
        budgets.envoy_budget,
        None,
        "Envoy retry budget 20 % of active, at least 3",
        "envoyproxy/envoy, cluster/v3/circuit_breaker.proto",
    ),
    Reference(
        "envoy-admission",
        throttles.envoy_admission,
        None,
        "Envoy admission control 95 %, cap 80 %",
        "envoyproxy/envoy, admission_control filter",
    ),
    Reference(
        "grpc-throttling",
        budgets.grpc_throttling,
        None,
        "gRPC retry throttling 10 tokens, 0.1",
        "grpc/proposal, A6-client-retries",
    ),
    Reference(
        "resilience4j-breaker",
        breakers.resilience4j_breaker,
        None,
        "Resilience4j-like breaker 50 %, min 10 calls",
        "resilience4j/resilience4j, CircuitBreakerConfig",
    ),
    Reference(
        "powertools-breaker",
        breakers.powertools_breaker,
        None,
        "Powertools-like breaker, 5 in a row, 30 s",
        "aws-powertools/powertools-lambda-python, CircuitBreakerConfig",
    ),
    Reference(
        "finagle-accrual",
        breakers.finagle_accrual,
        None,
        "Finagle failure accrual",
        "twitter/finagle, liveness/FailureAccrualPolicy.scala",
    ),
    Reference(
        "semian-adaptive",
        throttles.semian_adaptive,
        None,
        "Semian-like EWMA + PID partial rejection",
        "Shopify/semian, lib/semian/pid_controller.rb",
    ),
    Reference(
        FLYBALL_STATIC,
        lambda: Target("target"),
        None,
        "flyball client, compiled-in defaults",
        "docs/theory/control.md",
    ),
    Reference(FLYBALL, _harness_built, None, "flyball client and controller", "docs/theory/control.md"),
)

REFERENCES: dict[str, Reference] = {reference.name: reference for reference in _ALL}


def reference(name: str) -> Reference:
    """Return the reference of this name.

    Raises:
        UnknownReference: There is none; the message names the nearest.

    >>> reference("static-3").title
    '3 static retries'
    """
    found = REFERENCES.get(name)
    if found is None:
        raise UnknownReference(name, tuple(REFERENCES))
    return found


def plant_targets(chosen: Reference) -> Callable[[], Target]:
    """Return the maker of clients in the type that the plant declares; it uses only what all of them have."""
    return cast("Callable[[], Target]", chosen.new_target)
