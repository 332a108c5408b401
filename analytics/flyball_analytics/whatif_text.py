"""What a closed loop came to, as text and plain values: ranges, and what cannot be known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flyball_analytics.labels import Incident
from flyball_analytics.moments import span_words, utc
from flyball_analytics.whatif import Range, World, capacity_of, utilisation
from flyball_analytics.whatif_fit import Fit
from flyball_analytics.wording import percent

SCHEMA = 1
CLOSED_LOOP = """\
Closed loop: each algorithm makes its own attempts from the recorded first attempts; lost are requests without
success, from the incident's start until half an hour after it. Ranges are over what a recording cannot show:
the capacity, and whether a time-out meant lost capacity or nodes that answered nothing. Fast errors strike
attempts independently. Taken as recorded: when the trigger ended; where a storm outlived its trigger, every
algorithm would do better than said here."""
# Utilisation over which retries feed a storm by themselves: 1 / (1 + extra attempts per request).
CRITICAL = (("3 retries", 0.25), ("1 retry", 0.5), ("a budget of 20 %", 1.0 / 1.2), ("no retries", 1.0))


class Lived(NamedTuple):
    """One service lived through again. `recorded`: requests lost as recorded per incident, None unknown."""

    fit: Fit
    incidents: tuple[Incident, ...]
    labelled: bool
    worlds: tuple[World, ...]
    ranges: tuple[Range, ...]
    recorded: tuple[float | None, ...]


def lived_text(lived: Lived) -> str:
    """Return the incidents of one service with the range of every algorithm."""
    fit = lived.fit
    if not lived.incidents:
        return f"{fit.target}: no incident to live through again"
    origin = "labelled" if lived.labelled else "named by the replay"
    head = f"{fit.target}: {len(lived.incidents)} {_noun(lived)} {origin}, {_worlds(fit, lived.worlds)}; "
    lines = [f"{head}usual demand {fit.mean_per_s:.3g}/s"]
    lines += [f"  assumed   {note}" for note in fit.assumed]
    for place, incident in enumerate(lived.incidents):
        lines.append(f"  {incident_words(incident, fit.period_s)}{_recorded(lived.recorded[place])}")
        lines.append(f"    {_margin(lived, incident)}")
        mine = [one for one in lived.ranges if one.incident == incident]
        width = max((len(one.algorithm) for one in mine), default=0)
        lines += [f"    {one.algorithm:<{width}}  {range_words(one)}" for one in mine]
    return "\n".join(lines)


def _noun(lived: Lived) -> str:
    return "incident" if len(lived.incidents) == 1 else "incidents"


def incident_words(incident: Incident, period_s: float) -> str:
    """Return when an incident was, how long, and its note."""
    note = f", {incident.note}" if incident.note else ""
    return f"{utc(incident.start_s)}, {span_words(incident.end_s - incident.start_s + period_s)}{note}"


def range_words(one: Range) -> str:
    """Return the lost requests of one algorithm, from the kindest world to the worst.

    >>> incident = Incident(0.0, 60.0, 0.0, 60.0)
    >>> range_words(Range("a", incident, "none", 1000.0, 10.0, 250.0, 80.0, 1.0, 1.0))
    'loses 10 to 250 of 1,000 (1 % to 25 %); 1.0 attempts per request'
    """
    attempts = _span(one.amplification_low, one.amplification_high, ".1f")
    share = ""
    if one.arrived > 0.0:
        share = f" ({percent(one.low / one.arrived)} to {percent(one.high / one.arrived)})"
    return (
        f"loses {one.low:,.0f} to {one.high:,.0f} of {one.arrived:,.0f}{share}; "
        f"{attempts} attempts per request"
    )


def _worlds(fit: Fit, worlds: Sequence[World]) -> str:
    capacities = [capacity_of(fit, world) for world in worlds]
    causes = " or ".join(dict.fromkeys(world.cause.value for world in worlds))
    ends = f"{_span(min(capacities), max(capacities), '.3g')}/s"
    return f"capacity {ends} (proven peak {fit.peak_per_s:.3g}/s), time-outs as {causes}"


def _span(low: float, high: float, form: str) -> str:
    """Return two ends as text, or one where they read the same."""
    ends = format(low, form), format(high, form)
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _recorded(lost: float | None) -> str:
    return "" if lost is None else f"; recorded: {lost:,.0f} lost"


def _margin(lived: Lived, incident: Incident) -> str:
    """Return the utilisations of the worlds beside those over which retries feed a storm."""
    found = [utilisation(lived.fit, incident, world) for world in lived.worlds]
    low, high = min(found), max(found)
    named = ", ".join(f"{limit:.2f} with {what}" for what, limit in CRITICAL)
    return f"utilisation {_span(low, high, '.2f')} of the healthy capacity; a storm feeds itself over {named}"


def lived_json(lived: Lived) -> dict[str, object]:
    """Return the same as plain values."""
    fit = lived.fit
    return {
        "schema": SCHEMA,
        "target": fit.target,
        "labelled": lived.labelled,
        "proven_peak_per_s": fit.peak_per_s,
        "usual_per_s": fit.mean_per_s,
        "error_ratio": fit.error_ratio,
        "assumed": list(fit.assumed),
        "worlds": [{"capacity_per_s": capacity_of(fit, w), "cause": w.cause.value} for w in lived.worlds],
        "incidents": [
            {
                "start_s": incident.start_s,
                "end_s": incident.end_s,
                "note": incident.note,
                "recorded_lost": lived.recorded[place],
                "algorithms": [_range_json(one) for one in lived.ranges if one.incident == incident],
            }
            for place, incident in enumerate(lived.incidents)
        ],
    }


def _range_json(one: Range) -> dict[str, object]:
    return {
        "algorithm": one.algorithm,
        "requests": one.arrived,
        "lost_low": one.low,
        "lost_high": one.high,
        "lost_mean": one.mean,
        "amplification_low": one.amplification_low,
        "amplification_high": one.amplification_high,
    }
