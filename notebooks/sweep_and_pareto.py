# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sweep and Pareto
#
# Many policies over the same history, and which of them none beats: detection delay against minutes
# of healthy traffic restricted against changes. Part of the history is held out, because the best of
# many is partly luck. `flyball sweep` does the same from the command line, resumable and on many machines.

# %%
import tempfile
from pathlib import Path

import pandas as pd

from flyball_analytics.clock import SystemClock
from flyball_analytics.executors import new_executor
from flyball_analytics.report.pareto import front
from flyball_analytics.report.sweeps import sweep_of
from flyball_analytics.space import grid_option
from flyball_analytics.sweep import Search, candidates_at, drive
from flyball_analytics.sweep_holdout import holdout_of
from flyball_analytics.sweep_objectives import Objective, Prices
from flyball_analytics.sweep_outcome import Ask, outcome_json, outcome_of
from flyball_analytics.sweep_patch import patch_text
from flyball_analytics.sweep_store import Store
from flyball_analytics.synth import fleet
from flyball_analytics.thresholds.frames import labels_of_frame, metrics_of_frame
from flyball_controller.policy_file import load_policy

# %%
made = fleet(services=["payments", "orders", "mail"], days=5, seed=8, period_s=300, incidents_per_week=7)
made.incidents

# %% [markdown]
# The space: every combination of these values. A folder keeps inputs, shards and results; a search that
# is run again in the same folder does nothing twice.

# %%
policies = load_policy("two-loop")
space = grid_option(["law=ladder,two-loop", "hold_periods=1,4"])
candidates, refused = candidates_at(policies, space.grid())
folder = tempfile.TemporaryDirectory()
search = Search(Store(Path(folder.name)))
for target in made.history["target"].unique():
    series = metrics_of_frame(made.history, target=target)[0].series
    search.add_history(series, labels_of_frame(made.incidents, target=target, probation=made.probation))
holdout = holdout_of("services:0.3", [source.name for source in search.sources], seed=0)
search.hold_out(holdout)
keys = search.add_candidates(candidates)
f"{len(candidates)} policies, {len(keys)} shards; held out: {holdout.words}"

# %%
errors = {}
with new_executor("inline") as executor:
    settled = list(drive(keys, search.store, executor, now_s=SystemClock().now_s, errors=errors))
outcome = outcome_of(
    policies,
    search.measured(),
    Ask((Objective.DELAY_S, Objective.RESTRICTED_MIN, Objective.CHANGES), Prices(), holdout.words),
    fields=[parameter.field for parameter in space.parameters],
    poison=search.poison(errors),
)
pd.DataFrame([{**row.measured.candidate.point, **row.fit, "front": row.front} for row in outcome.rows])

# %% [markdown]
# The front, each value beside what the held-out days say.

# %%
pd.DataFrame(
    {
        row.number: {**row.fit, **{f"{name} held": value for name, value in row.held.items()}}
        for row in outcome.front
    }
).T

# %%
sweep = sweep_of(outcome_json(outcome))
[point.name for point in front(sweep.points)]

# %% [markdown]
# What each field does, and the patch to review: only what changed, with the evidence.

# %%
pd.DataFrame(outcome.effects)

# %%
patch_text(policies.name, outcome.changed, [f"chosen: number {outcome.chosen.number}"]).splitlines()

# %%
folder.cleanup()
