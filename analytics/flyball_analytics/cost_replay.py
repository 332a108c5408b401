"""Counts in a replay what the bill needs: requests, retries, changes, and what a baseline would have missed.

Scaled from the recorded span to a month. Open loop: what a faster answer would have saved
is the time in which there was one, not the requests that it would have rescued; those
are for a closed loop (whatif.py), whose range is taken in here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.compare_figures import DAY_S, Figures
from flyball_analytics.cost import DAYS, Calls, Fleet, Saved, Span
from flyball_analytics.report.watch import Watched
from flyball_analytics.whatif_saved import Kept
from flyball_controller.core.policy import Policy


class Counted(NamedTuple):
    """What the replay of some services says about a month."""

    fleet: Fleet
    calls: Calls
    saved: Saved | None  # None: without labels nobody knows


def counted(
    services: Sequence[Watched],
    baseline: Sequence[Figures],
    policy: Policy,
    *,
    fleet: Fleet,
    calls: Calls,
    kept: Kept | None = None,
) -> Counted:
    """Return fleet and calls with what was counted in their place.

    Args:
        services: Under the policy in question; at least one.
        baseline: The figures of another policy over the same services, in the same order.
        policy: Its changes an hour bound the deployments of the fleet.
        fleet: Gives what no recording shows: functions, environments, cold starts.
        calls: Gives what an attempt costs.
        kept: Requests lost fewer than under the baseline, closed loop; None: not run.
    """
    span_s = max(one.bins.to_s for one in services) - min(one.bins.from_s for one in services)
    days = span_s / DAY_S
    flows = [one.flow for one in services]
    # Changes of several targets in one tick are one deployment; taken apart they are the most there can be.
    changes_per_h = min(
        sum(len(one.changes) for one in services) / (span_s / 3_600.0), policy.changes_per_h_max
    )
    measured, attempts = sum(f.measured for f in flows), sum(f.attempts for f in flows)
    retries = attempts - measured
    seen = fleet._replace(
        targets=len(services),
        requests=sum(f.requests for f in flows) / days * DAYS,
        changes_per_h=changes_per_h,
    )
    known = calls if not measured else calls._replace(retries_ratio=retries / measured)
    labelled = [n for n, one in enumerate(services) if one.labels is not None]
    share = (attempts - math.fsum(f.kept for f in flows)) / retries if retries else 0.0
    if not labelled and kept is None:
        return Counted(seen, known, None)
    earlier_s = math.fsum(
        theirs.delay_s - mine.delay_s
        for n in labelled
        for mine, theirs in zip(services[n].figures.incidents, baseline[n].incidents, strict=True)
    )
    refused = math.fsum(
        (services[n].figures.total.refused_s - baseline[n].total.refused_s) * _per_s(services[n])
        for n in labelled
    )
    incidents = sum(len(services[n].figures.incidents) for n in labelled)
    scale = DAYS / days
    lived = None if kept is None else Span(kept.low * scale, kept.high * scale)
    saved = Saved(
        share, earlier_s / 3_600.0 * scale, refused * scale, incidents, days, baseline[0].contender, lived
    )
    return Counted(seen, known, saved)


def _per_s(one: Watched) -> float:
    return one.flow.requests / (one.bins.to_s - one.bins.from_s)
