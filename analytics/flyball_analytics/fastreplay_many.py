"""Fast replays of many histories, in one process or several, and as the windows that scoring needs.

A shard is one history: it is loaded where it is replayed, and only what `keep` makes of
its outcome comes back, so memory is that of one shard per process however long the
list. Results come in the order of the names and do not depend on the number of
processes. Knows nothing of files or policies' origins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from flyball_analytics.compare_figures import Acted
from flyball_analytics.fastreplay import Engine, Outcome, run
from flyball_analytics.fastreplay_columns import History
from flyball_analytics.replay import Replayed, is_gated, scoring_step
from flyball_analytics.score import Step
from flyball_analytics.series import Series
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint

Kept = TypeVar("Kept")


def run_many(
    names: Sequence[str],
    load: Callable[[str], Series | History],
    policy: Policy,
    *,
    keep: Callable[[Outcome], Kept],
    processes: int = 1,
    engine: Engine = Engine.AUTO,
) -> Iterator[Kept]:
    """Yield, by name in the order given, what `keep` makes of the outcome of each history.

    Args:
        names: Of the shards.
        load: Returns the history of a name; with processes it must be picklable (a function
            of a module), as must `keep` and what it returns.
        policy: From `PolicySet.for_target`.
        keep: Called where the replay ran.
        processes: 1 runs here; more are worth it from some seconds of work on.
        engine: As in `run`.
    """
    work = partial(_one, load=load, policy=policy, keep=keep, engine=engine)
    if processes <= 1:
        yield from map(work, names)
        return
    # Not forked: a process with a running thread pool must not be copied.
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(work, names)


def _one(
    name: str,
    *,
    load: Callable[[str], Series | History],
    policy: Policy,
    keep: Callable[[Outcome], Kept],
    engine: Engine,
) -> Kept:
    return keep(run(load(name), policy, engine=engine))


def acted_windows(series: Series, policy: Policy, *, engine: Engine = Engine.AUTO) -> list[Acted]:
    """Return what `compare_figures.acted_windows` returns, with the quiet windows run compiled.

    Oldest window first; looks and flagged rows show nothing and are left out.
    """
    nominal = nominal_setpoint(policy)
    noted = {note.row: note for note in run(series, policy, engine=engine).noted if not note.look}
    found: list[Acted] = []
    for row, seen in enumerate(series.observations):
        note = noted.get(row)
        if note is None:
            step = Step(seen.start_s, seen.arrived_s, seen.period_s, False, False, False, False, False)
            found.append(Acted(step, 0.0, False))
            continue
        applied = note.decision.applied
        replayed = Replayed(note.observation, note.decision, note.before, b"", b"", False, False)
        judged = scoring_step(replayed, nominal)
        if judged is not None:  # flagged rows are always noted
            refused = 1.0 - applied.probe_ratio if is_gated(applied) else 0.0
            found.append(Acted(judged, refused, note.decision.changed))
    found.sort(key=lambda acted: acted.step.start_s)
    return found
