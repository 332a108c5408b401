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
# # Incident review
#
# After an incident: what was seen, what would have been done, why, what would have changed it, whether
# another policy had been better, and one page to send around.

# %%
import tempfile
from pathlib import Path

import pandas as pd

from flyball_analytics.compare import compare
from flyball_analytics.compare_figures import acted_windows, figures_of
from flyball_analytics.compare_text import verdict_sentence
from flyball_analytics.frames import changes_frame, incidents_frame
from flyball_analytics.report.model import Manifest, build
from flyball_analytics.report.page import render
from flyball_analytics.report.watch import watch
from flyball_analytics.synth import fleet
from flyball_analytics.thresholds.frames import labels_of_frame, metrics_of_frame
from flyball_analytics.why import why
from flyball_analytics.why_text import Told, lines_of
from flyball_controller.policy_set import load_preset

pd.set_option("display.max_colwidth", None)  # reasons are sentences: cut short they say nothing

# %%
made = fleet(
    services=["payments", "search"], days=4, seed=9, incidents_per_week=9, kinds=["timeouts", "outage"]
)
made.incidents

# %%
policy, fixed = load_preset("two-loop").default, load_preset("fixed").default
services, baseline = [], []
for target in made.history["target"].unique():
    series = metrics_of_frame(made.history, target=target)[0].series
    labels = labels_of_frame(made.incidents, target=target, probation=made.probation)
    services.append(watch(series, policy, name="two-loop", labels=labels))
    windows = acted_windows(series, fixed)
    baseline.append(figures_of(windows, labels, target=target, contender="fixed", acts=True))
pd.concat({one.target: incidents_frame(one.score) for one in services})

# %%
pd.concat({one.target: changes_frame(one.changes) for one in services})

# %% [markdown]
# Why the costliest decision was made: every reason with its numbers, the levels that it was held
# against, and how many failures fewer or more in that window would have led elsewhere.

# %%
one = next(service for service in services if service.moments)
moment = one.moments[next(iter(one.moments))]
explained = why(moment.before, moment.seen, policy)
pd.DataFrame(
    lines_of(Told(explained, one.target, "notebook", "two-loop", "", "", None, "")), columns=["", "words"]
)

# %% [markdown]
# Would another policy have been better? A few incidents seldom prove it, and then it is said so.

# %%
done = compare(baseline, [service.figures for service in services])
verdict_sentence(done[0])

# %%
pd.DataFrame(
    [(m.measure, m.base, m.other, m.difference, m.verdict.value, m.why) for m in done[0].measures],
    columns=["measure", "baseline", "candidate", "difference", "verdict", "why"],
)

# %% [markdown]
# One page for everybody: `flyball report` makes the same from files. It opens without network.

# %%
manifest = Manifest("notebooks/incident_review.ipynb", "notebook", (), (("two-loop", policy.digest),))
report = build(services, manifest, comparisons=[done], title="Incident review")
page = render(report)
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "report.html"  # somewhere that lasts, in your own review
    file.write_bytes(page)
f"{len(page) / 1e6:.2f} MB"

# %%
report.sentences
