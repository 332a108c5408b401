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
# # Static or adaptive
#
# Start with fixed thresholds; move a service to adaptive ones where frequent false positives are
# measured there. This measures it, service by service, on a labelled synthetic fleet.

# %%
import pandas as pd

from flyball_analytics.synth import fleet
from flyball_analytics.thresholds import analyse
from flyball_analytics.thresholds.frames import labels_of_frame, metrics_of_frame, rules_frame
from flyball_controller.policy_set import load_preset

pd.set_option("display.max_colwidth", None)  # reasons are sentences: cut short they say nothing

# %%
made = fleet(services=["payments", "orders", "mail"], days=10, seed=11, period_s=300)
made.incidents

# %% [markdown]
# Two of the services get a batch that fails: `orders` every hour, `mail` only a little.

# %%
history = made.history
minute = history["start"].dt.minute
for target, share in (("orders", 0.10), ("mail", 0.01)):
    rows = (history["target"] == target) & (minute < 10)
    failing = (history["requests"] * share).astype("int64").clip(lower=history["errors_fast"])
    history.loc[rows, "errors_fast"] = failing[rows]

# %%
policy = load_preset("two-loop").default
analyses = {}
for target in history["target"].unique():
    errors = metrics_of_frame(history, target=target)[0]
    labels = labels_of_frame(made.incidents, target=target, probation=made.probation)
    analyses[target] = analyse(errors, policy, labels=labels, curve=False)

# %% [markdown]
# What a fixed threshold of 3 % and flyball's did, and the advice. A fixed threshold has frequent false
# positives if its history proves more than one a week (95 %); adaptive must halve them and miss
# nothing. Below a week of healthy time the advice is "not enough data".

# %%
pd.DataFrame(
    {
        target: {
            "advice": analysis.recommendation.advice.value,
            "because": analysis.recommendation.because,
        }
        for target, analysis in analyses.items()
    }
).T

# %%
columns = ["firings", "false_alarms", "incidents", "seen", "delay_rows"]
pd.concat({target: rules_frame(analysis)[columns] for target, analysis in analyses.items()})

# %%
analyses["orders"]
