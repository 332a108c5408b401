"""Where the in-between results of a run of minutes lie: the rows of `memory.desk`, for fastreplay_block.py.

One array for all of them, so that the compiler sees that no two rows overlap. Rows have SIZE
places; what lies behind the last window is stale and read by nobody. Knows places only.
"""

from __future__ import annotations

MINUTE_S = 60.0
SIZE = 64  # an hour of minutes, rounded up to whole vectors
ROWS = 21
(
    FAILED, TIMED_OUT, THROTTLED, REQUESTS, ATTEMPTS, RATIO, FEW, RATE_NOW, P50, P99, LEARNED, PRIOR,
    VISIT, MIDDLE, RENEWED, BY_MINUTE, LEVEL, SPREAD, DISPERSION, NORMAL, ODDS,
) = range(0, ROWS * SIZE, SIZE)  # fmt: skip
KIND = ROWS * SIZE
PROVES = KIND + SIZE
# For several policies at once:
EXPECTED = PROVES + SIZE
TRUST = EXPECTED + SIZE
DIFFERS = TRUST + SIZE
DESK = DIFFERS + SIZE
UNSURE, BETWEEN, CLEAN = 0.0, 1.0, 2.0  # what a window of a run is: UNSURE ends it
