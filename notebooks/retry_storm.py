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
# # Retry storm: what if
#
# Replaying recorded attempts under another policy is wrong in sign where it matters: retries that were
# not made would have relieved the target. So the incident is lived through again: first attempts are
# recovered from the recording, its cause is set into a model of the target, and every algorithm makes
# its own attempts. What no recording shows (how much capacity was left, what a time-out was) is varied;
# the answer is a range.

# %%
import pandas as pd

from flyball_analytics.replay import replay_series
from flyball_analytics.synth import fleet
from flyball_analytics.tally import Tally
from flyball_analytics.thresholds.frames import labels_of_frame, metrics_of_frame
from flyball_analytics.whatif import outcome, plan, ranges, recorded_lost, utilisation, worlds_of
from flyball_analytics.whatif_fit import Recorded, fit
from flyball_controller.policy_set import load_preset

# %%
made = fleet(services=["payments"], days=3, seed=8, incidents_per_week=14, kinds=["timeouts"])
made.incidents

# %%
series = metrics_of_frame(made.history, target="payments")[0].series
labels = labels_of_frame(made.incidents, target="payments", probation=made.probation)
model = fit(series, labels, Recorded(max_attempts=3))
incident = min(labels.incidents, key=lambda one: one.end_s - one.start_s)
{
    "requests a second": round(model.mean_per_s, 1),
    "proven attempts a second": round(model.peak_per_s, 1),
    "mean work, s": round(model.work_mean_s, 3),
    "assumed": model.assumed,
    "lost as recorded": recorded_lost(model, incident),
}

# %% [markdown]
# Two capacities here, for a quick look: a target that was nearly full and one with room. Worlds differ
# in that, and in whether a time-out was lost capacity or nodes that answered nothing.

# %%
worlds = worlds_of(model, incident, capacities=(1.1, 2.5))
pd.DataFrame(
    [(w.capacity_factor, w.cause.value, round(utilisation(model, incident, w), 2)) for w in worlds],
    columns=["capacity over proven peak", "time-outs were", "load as recorded"],
)

# %%
algorithms = ("flyball", "static-3")
runs = list(plan(model, incident, algorithms, worlds=worlds, seeds=(1,)))
outcomes = [outcome(planned, planned.job.run()) for planned in runs]
pd.DataFrame(outcomes).pivot_table(index=["world"], columns="algorithm", values="lost")

# %% [markdown]
# Lost requests per algorithm over all worlds, and the most attempts per request.

# %%
found = pd.DataFrame(ranges(outcomes)).set_index("algorithm")
found[["arrived", "low", "high", "mean", "amplification_low", "amplification_high"]].round(2)

# %% [markdown]
# The open loop beside it: when and why the controller acts on the recording as it is.

# %%
policy = load_preset("two-loop").default
tally = Tally(policy)
for replayed in replay_series(series, policy=policy):
    tally.add(replayed)
f"{len(tally.changes)} changes; circuit not closed for {tally.gated_s / 60:.0f} min"
