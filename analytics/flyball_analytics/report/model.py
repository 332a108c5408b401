"""All of a report as plain records, and the two sentences that it begins with.

Whoever fills these (cli/report.py from files, a notebook from frames) gets the same page.
Knows no HTML and runs no policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flyball_analytics.compare import Comparison, Verdict
from flyball_analytics.compare_text import verdict_sentence
from flyball_analytics.counts import counted
from flyball_analytics.csvfile import shown
from flyball_analytics.moments import span_words
from flyball_analytics.report.estimates import Estimate, estimates
from flyball_analytics.report.pareto import Sweep
from flyball_analytics.report.watch import Watched
from flyball_analytics.report.worst import Bad, worst_decisions
from flyball_analytics.score import join_scores, median, rate_per_week_max
from flyball_analytics.whatif_saved import Kept, kept_sentence
from flyball_analytics.whatif_text import Lived
from flyball_analytics.wording import percent

Done = tuple[Comparison, Sequence[Comparison]]
UNLABELLED = "Without labels nobody can say which of these decisions were right."


class Input(NamedTuple):
    """One file or history that was read; `sha256` of a file, or of a history's manifest."""

    name: str
    size: int
    sha256: str


def input_of(file: Path) -> Input:
    """Return a file as the page names what it was made from."""
    data = file.read_bytes()
    return Input(shown(file), len(data), hashlib.sha256(data).hexdigest())


class Manifest(NamedTuple):
    """What the page was made from: enough to make it again, and nothing that differs between two runs."""

    command: str
    version: str
    inputs: tuple[Input, ...]
    policies: tuple[tuple[str, str], ...]  # name and digest of its default
    notes: tuple[str, ...] = ()


class Closed(NamedTuple):
    """The incidents lived through again; `kept` per candidate, against the baseline."""

    services: tuple[Lived, ...]
    kept: tuple[Kept, ...]


class Table(NamedTuple):
    """A table of the caller's own, shown before all others; `ident` is a word, unique on the page."""

    ident: str
    title: str
    note: str
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()


class Report(NamedTuple):
    """One page. `services` are drawn under the candidate, ordered by what needs a look first."""

    title: str
    verdict: Verdict | None  # None: nothing was compared
    sentences: tuple[str, ...]
    comparisons: tuple[Done, ...]
    services: tuple[Watched, ...]
    estimates: tuple[Estimate, ...]
    worst: tuple[Bad, ...]
    sweep: Sweep | None
    manifest: Manifest
    closed: Closed | None = None
    tables: tuple[Table, ...] = ()


def build(
    services: Sequence[Watched],
    manifest: Manifest,
    *,
    comparisons: Sequence[Done] = (),
    sweep: Sweep | None = None,
    closed: Closed | None = None,
    title: str = "flyball report",
    lead: Sequence[str] = (),
    tables: Sequence[Table] = (),
) -> Report:
    """Return the report on services that were watched under one policy.

    Args:
        services: At least one.
        manifest: Where they come from.
        comparisons: Candidates against a baseline, as `compare.compare` returns them; may be none.
        sweep: Results of a sweep; None: there was none.
        closed: What the closed loop came to; None: it was not run.
        title: Head of the page.
        lead: Sentences to begin with, before the page's own.
        tables: Of the caller's own.

    Raises:
        ValueError: Without services.
    """
    if not services:
        raise ValueError("a report needs at least one service")
    ordered = tuple(sorted(services, key=urgency))
    sentences = [verdict_sentence(total) for total, _ in comparisons]
    if closed is not None:
        sentences += [kept_sentence(kept) for kept in closed.kept]
    return Report(
        title,
        comparisons[0][0].verdict if comparisons else None,
        (*lead, *sentences, facts(ordered)),
        tuple(comparisons),
        ordered,
        estimates(ordered),
        worst_decisions(ordered),
        sweep,
        manifest,
        closed,
        tuple(tables),
    )


def urgency(one: Watched) -> tuple[float, float, float, float, str]:
    """Return a sort key: refused in healthy time, missed incidents, time gated, changes; most first."""
    missed = 0 if one.score is None else len(one.score.incidents) - one.score.recognised
    return (-one.figures.total.refused_s, -missed, -one.gated_s, -len(one.changes), one.target)


def facts(services: Sequence[Watched]) -> str:
    """Return what the policy did over all services, in one or two sentences."""
    changes = sum(len(one.changes) for one in services)
    touched = sum(bool(one.changes) for one in services)
    policy = services[0].policy
    where = f" on {touched} of {counted(len(services), 'service')}" if changes else ""
    acted = f"Over the whole history {policy} would {_have_changed(changes)}{where}"
    scores = [one.score for one in services if one.score is not None]
    if not scores:
        return f"{acted}. {UNLABELLED}"
    score = join_scores(scores)
    caught = "No incident is labelled"
    if score.incidents:
        late = median(i.recognised_s for i in score.incidents)
        when = "" if late is None else f", in the median {span_words(late)} after the first bad window began"
        many = counted(len(score.incidents), "labelled incident")
        caught = f"{policy} recognised {score.recognised} of {many}{when}"
    refused_min = sum(one.figures.total.refused_s for one in services) / 60.0
    bound = rate_per_week_max(score.false_opens, score.healthy_weeks)
    sure = "" if bound is None else f" (at most {bound:.2g} a week, 95 %)"
    opened = "no circuit" if not score.false_opens else counted(score.false_opens, "circuit")
    healthy = (
        f"In {score.healthy_weeks:.3g} healthy service-weeks it opened {opened}{sure}, "
        f"refused {_healthy_minutes(refused_min)} and {_alarms(score.false_alarms)}"
    )
    restricted = score.false_restricted_ratio
    share = f"; {percent(restricted)} of that time was restricted for no reason" if restricted else ""
    return f"{caught}. {healthy}{share}. {acted}."


def _healthy_minutes(minutes: float) -> str:
    return f"{minutes:.3g} min of traffic" if minutes else "no traffic"


def _alarms(count: int) -> str:
    return f"named trouble {_times(count)}" if count else "never named trouble"


def _have_changed(changes: int) -> str:
    return f"have changed parameters {_times(changes)}" if changes else "never have changed a parameter"


def _times(count: int) -> str:
    """Return how often, in words for the first two.

    >>> _times(1), _times(12)
    ('once', '12 times')
    """
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
