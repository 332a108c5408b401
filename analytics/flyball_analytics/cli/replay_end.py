"""What `flyball replay` says when all histories are through: the summary, its limits, what to try next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from flyball_analytics import render
from flyball_analytics.cli.errors import InconclusiveError, InvalidError
from flyball_analytics.cli.program import program_name
from flyball_analytics.score import join_scores
from flyball_controller.codec import canonical_json
from flyball_controller.policy_set import PRESETS

OPEN_LOOP = (
    "A replay is open loop: what was recorded does not react to the decisions. It shows when and why flyball "
    "would have acted, not what the traffic would then have done."
)


def terminal_width() -> int:
    """Return the width of the terminal, or a fixed one where there is none, so that output is stable."""
    return max(100, shutil.get_terminal_size().columns) if sys.stdout.isatty() else render.WIDTH


def finish(
    runs: Sequence[render.Run], policy_name: str, *, form: str, brief: bool, paths: Sequence[Path]
) -> None:
    """Write what all files come to, then what to try next; end with 4 if nothing could be judged."""
    if not runs:
        raise InvalidError("none of the files is a metric history (see the lines above)")
    scores = [run.score for run in runs if run.score is not None]
    total = join_scores(scores) if scores else None
    if form == "json" and brief:
        for run in runs:
            click.echo(canonical_json(render.run_json(run)).decode())
        if total is not None:
            click.echo(canonical_json({"target": "*", "score": render.score_json(total)}).decode())
    elif form == "text" and (brief or (len(runs) > 1 and total is not None)):
        click.echo(render.summary(runs, total, width=terminal_width()) + "\n")
    if not any(run.tally.usable for run in runs):
        raise InconclusiveError(
            f"no row carries evidence ({sum(run.series.rows for run in runs)} read): nothing can be judged; "
            "see the problems above, or give more history",
        )
    if form == "text":
        click.echo(OPEN_LOOP)
        for command in next_commands(runs, policy_name, paths):
            click.echo(f"next: {command}")


def next_commands(runs: Sequence[render.Run], policy_name: str, paths: Sequence[Path]) -> list[str]:
    """Return what is worth trying next: another preset over the files, the commonest reason to act."""
    files = " ".join(shlex.quote(str(path)) for path in paths)
    other = next(preset for preset in ("adaptive", *PRESETS) if preset != policy_name)
    program = program_name()
    commands = [f"{program} replay {files} --policy {other} --summary"]
    acts = [c for run in runs for c in run.tally.changes if c.evidence and (c.tightened or c.widened)]
    counts = Counter(change.evidence[0].reason for change in acts)
    if counts:
        commonest = min(counts, key=lambda reason: (-counts[reason], reason))
        commands.append(f"{program} explain {commonest.name}")
    return commands
