"""`flyball sweep`: many policies over the same history, and which of them nobody beats."""

from __future__ import annotations

from typing import Any

import click

from flyball_analytics.cli.errors import InvalidError
from flyball_analytics.cli.sweep_common import (
    Request,
    ask_of,
    check_request,
    finish,
    folder_of,
    run_shards,
    search_of,
    search_options,
    space_of,
)
from flyball_analytics.space import POINTS_MAX
from flyball_analytics.sweep import BATCH, Candidate, Search, candidates_at
from flyball_analytics.sweep_outcome import outcome_of
from flyball_controller.policy_file import load_policy


@click.command(short_help="Try many policies over a history, and show those that nobody beats.")
@search_options
@click.option(
    "--lhs",
    "points",
    type=click.IntRange(1, POINTS_MAX),
    help="Draw this many points (Latin hypercube) instead of the whole grid.",
)
@click.option(
    "--batch", type=click.IntRange(1, 1_000), default=BATCH, show_default=True, help="Policies in a shard."
)
@click.option("--plan-only", is_flag=True, help="Write the shards to --out and run none of them.")
@click.pass_context
def sweep_command(
    context: click.Context, /, points: int | None, batch: int, plan_only: bool, **options: Any
) -> None:
    """Try many policies over a history, and show those that nobody beats.

    HISTORY is what `flyball replay` reads. Every policy of the grid runs over the same rows
    and is judged by what it would have done: how late it recognised the labelled incidents,
    how much healthy traffic it would have refused, how often it would have changed
    something. Part of the history is held out and judged apart, because the best of many
    is partly luck. Prints the Pareto front, what each field does, and what to take.

    Nothing is changed; only --out, --patch and --plot are written. With --out a run that
    was killed goes on where it was. The replay is open loop: what was recorded does not
    react. How to read it, and how to run it on many machines: docs/how-to/tune.md.

    \b
    example: flyball sweep history/ --labels labels.json --grid open_floor=0.4,0.5 --grid min_requests=12,30
    example: flyball sweep history/ --labels labels.json --space space.yaml --lhs 200 --patch new.yaml
    example: flyball sweep history/ --space space.yaml --executor processes:4 --out run --plot front.svg
    """
    request = Request(**options)
    check_request(request)
    if plan_only and request.out is None:
        raise click.UsageError("--plan-only writes the shards to a folder: name it with --out")
    policies = load_policy(request.policy)
    space = space_of(request)
    wanted = space.grid() if points is None else space.latin(points, seed=request.seed)
    candidates, refused = candidates_at(policies, wanted)
    if len(candidates) == 1:
        why = f": {refused[0]}" if refused else ": every point is the policy in force"
        raise InvalidError(f"the space holds no other policy{why}")
    with folder_of(request) as store:
        search, holdout = search_of(request, store, batch=batch)
        keys = search.add_candidates(candidates)
        if plan_only:
            _show_plan(search, candidates, keys)
            return
        errors = run_shards(request, search, keys, "sweep")
        outcome = outcome_of(
            policies,
            search.measured(),
            ask_of(request, holdout),
            fields=[one.field for one in space.parameters],
            poison=search.poison(errors),
            refused=refused,
        )
        finish(context, request, search, outcome)


def _show_plan(search: Search, candidates: list[Candidate], keys: list[str]) -> None:
    left = sum(not search.store.has_result(key) for key in keys)
    click.echo(
        f"{len(candidates)} policies, {len(search.sources)} sources: {len(keys)} shards, {left} not yet "
        f"done, in {search.store.folder}"
    )
