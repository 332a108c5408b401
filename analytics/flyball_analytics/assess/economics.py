"""What an integration's outages, retries and protection cost in a month, US dollars.

Outages: by the outages that were stated (count x recovery time), else by what the
SLA allows. Healed: what retries would answer if attempts fail independently; an
outage is the contrary, and nothing is credited for it here: instead the share of
the outage cost that protection has to avoid to pay for itself is told. Prices and
flyball's own bill are those of `flyball cost`.
"""

from __future__ import annotations

from typing import NamedTuple

from flyball_analytics.assess.facts import MONTH_S, Integration
from flyball_analytics.cost import Fleet, bill
from flyball_analytics.integrations import Target
from flyball_analytics.prices import prices
from flyball_controller.core.policy import Policy

HOUR_S = 3_600.0
MONTHS = 12.0
PRICE = prices()


class Money(NamedTuple):
    """US dollars a month (attempt_usd: one attempt). None: not known. `because`: how outages were reckoned.

    `retries_usd`, `healed_usd`: None too where nothing is to be repeated.
    `share_needed`: share of the outage cost to avoid for protection and retries to pay; above 1 they cannot.
    """

    attempt_usd: float | None
    retries_usd: float | None
    healed_usd: float | None
    outage_usd: float | None
    protection_usd: float
    share_needed: float | None
    because: str


def usd(value: float) -> str:
    """Return an amount as text.

    >>> usd(1234.5), usd(0.00123), usd(0.0)
    ('$1,234', '$0.00123', '$0')
    """
    return f"${value:,.0f}" if abs(value) >= 100.0 or value == 0.0 else f"${value:.3g}"


def outage_usd(target: Target) -> tuple[float | None, str]:
    """Return what a target's outages cost in a month, and the arithmetic.

    >>> outage_usd(Target(usd_per_outage_h=1_000.0, sla_ratio=0.999))
    (730.0, '0.1 % of 730 h (what the SLA allows) x $1,000')
    """
    hour = target.usd_per_outage_h
    if hour is None:
        return None, "usd_per_outage_h is not known"
    if target.outages_per_year is not None and target.recovery_s is not None:
        hours = target.outages_per_year * target.recovery_s / HOUR_S / MONTHS
        text = f"{target.outages_per_year:g} outages a year of {target.recovery_s:g} s x {usd(hour)} an hour"
        return round(hours * hour, 6), text
    if target.sla_ratio is None:
        return None, "neither outages_per_year and recovery_s nor sla_ratio is known"
    down = 1.0 - target.sla_ratio
    return round(down * MONTH_S / HOUR_S * hour, 6), (
        f"{100.0 * down:.4g} % of 730 h (what the SLA allows) x {usd(hour)}"
    )


def protection_usd(functions: int) -> float:
    """Return what one more target with so many functions adds to flyball's bill (state, metrics, alarms)."""
    two, one = (
        bill(Fleet(targets=count, functions=float(functions)), Policy(), PRICE).total for count in (2, 1)
    )
    return two - one


def money_of(one: Integration, *, attempts: int, callers: int) -> Money:
    """Return the money of one integration; the outage is the target's, shared by its `callers`.

    Args:
        one: The integration.
        attempts: How many are advised, 1 = no retry.
        callers: Functions that call the target, >= 1.
    """
    outage, because = outage_usd(one.target)
    share = None if outage is None else outage / callers
    protection = protection_usd(callers) / callers
    attempt = None
    if one.target.latency_ms is not None and one.function.memory_mb is not None:
        gigabyte_s = one.target.latency_ms / 1_000.0 * one.function.memory_mb / 1_024.0
        attempt = gigabyte_s * PRICE["lambda_gb_s"] + (one.target.usd_per_call or 0.0)
    retries, healed = None, None
    requests, errors = one.function.requests_per_month, one.target.error_ratio
    if attempts > 1 and requests is not None and errors is not None:
        calls = requests * one.call.calls_per_request
        again = min(_power_sum(errors, attempts), Policy().budget_nominal)
        retries = None if attempt is None else calls * again * attempt
        hour = one.target.usd_per_outage_h
        if hour is not None and requests > 0.0:
            lost = hour / (requests / (MONTH_S / HOUR_S))  # what one failed request costs
            healed = requests * (errors - _power(errors, attempts)) * lost
    needed = (protection + (retries or 0.0)) / share if share is not None and share > 0.0 else None
    return Money(attempt, retries, healed, share, protection, needed, because)


def _power(base: float, times: int) -> float:
    product = 1.0
    for _ in range(times):
        product *= base
    return product


def _power_sum(ratio: float, attempts: int) -> float:
    """Return the mean number of retries per call if each attempt fails with `ratio`."""
    return sum(_power(ratio, number) for number in range(1, attempts))
