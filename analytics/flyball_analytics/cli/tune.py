"""`flyball tune`: search for policies where it pays, with Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from flyball_analytics.cli.errors import InconclusiveError, InvalidError
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
from flyball_analytics.space import Space
from flyball_analytics.sweep import BATCH, Candidate, Search, candidate_at
from flyball_analytics.sweep_objectives import Objective, values_of
from flyball_analytics.sweep_outcome import outcome_of
from flyball_analytics.tune import Trial, TuneError, Tuner
from flyball_controller.core.errors import PolicyError
from flyball_controller.policy_file import load_policy
from flyball_controller.policy_set import PolicySet


@click.command(short_help="Search for better policies over a history, where it pays to look.")
@search_options
@click.option(
    "--trials", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Policies in all."
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1_000),
    default=BATCH,
    show_default=True,
    help="Policies proposed at once; the next batch learns from it.",
)
@click.pass_context
def tune_command(context: click.Context, /, trials: int, batch: int, **options: Any) -> None:
    """Search for better policies over a history, where it pays to look.

    As `flyball sweep`, but the policies are proposed by an optimiser (Optuna) that learns
    from those before: fewer are needed where many fields vary. All objectives are kept
    apart; the outcome is a Pareto front, with the held-out part judged beside it.

    Nothing is changed; only --out, --patch and --plot are written. With --out a run that
    was killed goes on where it was, and more --trials continue it. Results do not depend
    on the executor. Needs the extra `tune`.

    \b
    example: flyball tune history/ --labels labels.json --space space.yaml --trials 200 --patch new.yaml
    example: flyball tune history/ --labels labels.json --space space.yaml --executor processes --out run
    """
    request = Request(**options)
    check_request(request)
    policies = load_policy(request.policy)
    space = space_of(request)
    with folder_of(request) as store:
        search, holdout = search_of(request, store, batch=batch)
        errors = _run(request, search, [Candidate(0, {}, policies)], "in force")
        tuner = _tuner(request, search, space, policies, holdout)
        refused = _replayed(search, tuner, policies)
        while tuner.told < trials:
            asked = tuner.ask(min(batch, trials - tuner.told))
            errors |= _evaluate(request, search, tuner, asked, policies, refused)
        outcome = outcome_of(
            policies,
            search.measured(),
            ask_of(request, holdout),
            fields=[one.field for one in space.parameters],
            poison=search.poison(errors),
            refused=refused,
        )
        finish(context, request, search, outcome)


def _run(request: Request, search: Search, candidates: Sequence[Candidate], label: str) -> dict[str, str]:
    return run_shards(request, search, search.add_candidates(candidates), label)


def _tuner(request: Request, search: Search, space: Space, policies: PolicySet, holdout: str) -> Tuner:
    """Open the study over the objectives that the history shows."""
    tally = search.measured()
    shown = values_of(tally.measured[0].fit, request.objectives, tally.measured[0].lost_min, request.prices)
    absent = [name.value for name in request.objectives if name.value not in shown]
    if not shown or (Objective.DELAY_S in absent and request.labels is not None):
        raise InconclusiveError(
            f"the fitted history does not show {', '.join(absent)}: give more history or labelled incidents"
        )
    # The shards of the policy in force name its fields, the inputs, the labels, the seeds and the code.
    keys = [work.key for work in search.works]
    identity = [keys, holdout, sorted(one.name for one in search.sources if one.held), request.prices]
    try:
        return Tuner(search.store.folder, space, sorted(shown), seed=request.seed, identity=identity)
    except TuneError as error:
        raise InvalidError(str(error)) from error


def _candidates(
    trials: Sequence[Trial], policies: PolicySet, refused: list[str]
) -> dict[int, tuple[Trial, Candidate]]:
    """Return the trials that are policies, with their candidates; say of the others why not."""
    found = {}
    for trial in trials:
        try:
            found[trial.number + 1] = trial, candidate_at(policies, trial.number + 1, trial.point)
        except PolicyError as error:
            refused.append(str(error))
    return found


def _replayed(search: Search, tuner: Tuner, policies: PolicySet) -> list[str]:
    """Take in the trials that a run before this one has told; return why some are no policies."""
    refused: list[str] = []
    ended = _candidates(tuner.ended(), policies, refused)
    search.add_candidates([candidate for _, candidate in ended.values()])
    return refused


def _evaluate(
    request: Request,
    search: Search,
    tuner: Tuner,
    asked: Sequence[Trial],
    policies: PolicySet,
    refused: list[str],
) -> dict[str, str]:
    """Run a batch and tell the study; return the errors of shards that could not be run."""
    made = _candidates(asked, policies, refused)
    errors = _run(request, search, [candidate for _, candidate in made.values()], "tune")
    measured = {one.candidate.number: one for one in search.measured(made).measured}
    for trial in asked:
        one = measured.get(trial.number + 1)
        values = None if one is None else values_of(one.fit, request.objectives, one.lost_min, request.prices)
        tuner.tell(trial, None if values is None else [values[name] for name in sorted(values)])
    return errors
