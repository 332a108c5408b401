"""Ways that schedules must go: a fault that never does what it is for tests nothing.

Names are those under which the simulation counts. A long run fails if any of
these was gone by fewer schedules than it asks for (tools/reliability.py).
"""

from __future__ import annotations

RARE = (
    "lost race decided again",
    "several races lost in one round",
    "own success refused when sent again",
    "late write landed",
    "late write refused",
    "late evidence refused",
    "partial evidence used",
    "damaged checkpoint replaced",
    "circuit item damaged",
    "opened",
    "open share limited",
    "expired circuit half-open",
    "closed by own probes",
    "probe held",
    "kill switch over an open circuit",
    "operator's hold obeyed",
    "operator's hold expired",
    "shadow decided",
    "deployment rolled back",
    "revision taken back",
    "configuration held",
    "configuration in_flight",
    "configuration rate_limited",
    "deployment recognised after a lost reply",
    "crash before BatchGetItem",
    "crash before GetMetricData",
    "crash before PutItem",
    "crash before ListDeployments",
)
