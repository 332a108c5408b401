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
# # Choosing a baseline
#
# What is normal for a service, where its thresholds stand, and what a multiple and a half-life buy.
# The history is synthetic, with a batch that fails a tenth of its requests in the first ten minutes
# of every hour. Put your own frame in the place of `history`: columns as in a CSV history
# (timestamp, requests, errors, ...).

# %%
from flyball_analytics.synth import fleet
from flyball_analytics.thresholds import analyse
from flyball_analytics.thresholds.frames import bands_frame, curve_frame, metrics_of_frame, rules_frame
from flyball_analytics.thresholds.text import analysis_text
from flyball_controller.policy_set import load_preset

# %%
made = fleet(services=["payments"], days=8, seed=3, period_s=300, incidents_per_week=0)
history = made.history
in_batch = history["start"].dt.minute < 10
history.loc[in_batch, "errors_fast"] = history["requests"] // 10
history.tail(3)

# %% [markdown]
# A metric is the error ratio of a target, its latency, or any value. One analysis answers everything
# about one metric; a notebook shows it as a picture.

# %%
errors = metrics_of_frame(history, target="payments")[0]
policy = load_preset("two-loop").default
analysis = analyse(errors, policy)
analysis

# %% [markdown]
# Grey: the share of failed requests. Blue: what was normal at that minute. Orange: from where on
# flyball trips; it is higher where the batch is known. Below: when each rule would have fired.

# %%
rules_frame(analysis)[["title", "firings", "recurring", "false_alarms_per_week"]]

# %%
bands_frame(analysis).tail(12)

# %% [markdown]
# The trade-off: for every multiple and half-life the false firings a week, and how many of twelve
# faults that were set into the recording were seen, and how late.

# %%
curve = curve_frame(analysis)
curve.pivot(index="multiple", columns="half_life_s", values="false_per_week")

# %%
curve[curve["chosen"]]

# %% [markdown]
# The same in words, as `flyball thresholds` prints it:

# %%
analysis_text(analysis).splitlines()
