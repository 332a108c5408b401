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
# # Your CloudWatch history
#
# From an answer of CloudWatch to a replay, without a file in between. For months of a fleet use
# `flyball ingest cloudwatch`, which keeps to rates and tiers, can be resumed, and says the price before
# it starts; this shows what it does, and what to look at.

# %%
import pandas as pd

from flyball_analytics.frames import changes_frame
from flyball_analytics.fromframe import from_frame, metric_data_frame
from flyball_analytics.ingest.cloudwatch import plan
from flyball_analytics.moments import parse_moment
from flyball_analytics.replay import replay_series
from flyball_analytics.synth import fleet
from flyball_analytics.tally import Tally
from flyball_controller.aws.metric_map import client_metrics
from flyball_controller.policy_set import load_preset

# %% [markdown]
# What reading costs: one call per 500 metrics or 100,800 values, and 0.01 USD per 1,000 metrics asked
# for. Minutes are kept for 15 days, five minutes for 63, hours for 455.

# %%
now_s = parse_moment("2026-01-26T00:00:00Z")
maps = {name: client_metrics(name) for name in ("payments", "orders")}
planned = plan(maps, {}, from_s=now_s - 30 * 86_400, to_s=now_s, now_s=now_s, period_s=60)
pd.DataFrame(
    [(c.span.period_s, c.span.windows, c.metrics, c.points) for c in planned.chunks],
    columns=["period_s", "windows", "metrics", "points"],
)

# %%
f"{len(planned.chunks)} calls, {planned.metrics} metrics, about {planned.usd:.3f} USD"

# %% [markdown]
# An answer of GetMetricData, as boto3 and `aws cloudwatch get-metric-data` give it: newest first, and
# a minute in which nothing was published is not there. Here it is made from a synthetic service with
# two stretches without data; put your own `MetricDataResults` in its place.

# %%
made = fleet(services=["payments"], days=3, seed=7, incidents_per_week=5, gaps_per_week=6)
newest_first = made.history.sort_values("start", ascending=False)
answer = [
    {"Id": name, "Timestamps": rows["start"].tolist(), "Values": rows[column].tolist()}
    for name, column in {"requests": "requests", "errors": "errors_fast", "timeouts": "timeouts"}.items()
    for rows in [newest_first[newest_first[column] > 0]]
]
frame = metric_data_frame(answer)
frame.tail(3)

# %% [markdown]
# Who is silent decides what a missing value means. These counters are published when they are above 0,
# so a missing error is 0; a missing request count is a minute without data, and stays a gap.

# %%
counts = frame.dropna(subset=["requests"]).fillna(0.0)
# Here `errors` are the fast ones alone; the word means all failed first attempts, so they get their own.
series = from_frame(counts.rename(columns={"errors": "errors_fast"}), target="payments", delay_s=20.0)
pd.DataFrame(series.gaps)

# %%
{
    "rows": series.rows,
    "period_s": series.period_s,
    "problems": dict(series.problem_counts),
    "assumed": series.notes,
}

# %% [markdown]
# Any frame will do: pandas, pyarrow, polars, whatever offers the Arrow C stream.

# %%
import pyarrow as pa

same = from_frame(
    pa.Table.from_pandas(counts.rename(columns={"errors": "errors_fast"}), preserve_index=False),
    target="payments",
    delay_s=20.0,
)
{"the same windows": same.observations == series.observations}

# %%
policy = load_preset("two-loop").default
tally = Tally(policy)
for replayed in replay_series(series, policy=policy):
    tally.add(replayed)
changes_frame(tally.changes)
