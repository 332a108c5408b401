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
# # Quick replay
#
# What would this policy have done over my history? The production step runs over recorded metrics in
# the order in which they arrived. A replay is open loop: what was recorded does not react to what is
# decided.

# %%
from flyball_analytics.frames import changes_frame, incidents_frame
from flyball_analytics.replay import replay_series
from flyball_analytics.score import score_steps
from flyball_analytics.synth import fleet
from flyball_analytics.tally import Tally
from flyball_analytics.thresholds.frames import labels_of_frame, metrics_of_frame
from flyball_controller.policy_set import load_preset

# %%
made = fleet(services=["payments"], days=5, seed=3, incidents_per_week=7)
made.incidents

# %%
series = metrics_of_frame(made.history, target="payments")[0].series
policy = load_preset("two-loop").default
tally = Tally(policy, keep_steps=True)
for replayed in replay_series(series, policy=policy):
    tally.add(replayed)
changes_frame(tally.changes)

# %% [markdown]
# How that fits the labels: delays in windows (0 = the first bad one) and in seconds.

# %%
labels = labels_of_frame(made.incidents, target="payments", probation=made.probation)
score = score_steps(tally.steps_by_window(), labels)
incidents_frame(score)

# %%
{
    "incidents": len(score.incidents),
    "recognised": score.recognised,
    "opened": score.opened,
    "false alarms": score.false_alarms,
    "false actions": score.false_actions,
    "healthy weeks": round(score.healthy_weeks, 2),
}

# %% [markdown]
# On the command line: `flyball replay payments.csv --labels labels.json`, and as one page to look at:
# `flyball report payments.csv --labels labels.json`. Other frames: `flyball_analytics.fromframe.from_frame`.
