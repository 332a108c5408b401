"""Entry point for the probe schedule: once a minute, call the targets that the policy's `probes` name.

What is found is stored for the rounds and told as metrics. The function may call
what its role and its network allow, and write nothing but its own records: it
cannot move a circuit. If it dies, rounds see no new results, and everything goes
on as if there were no checks.
"""

from __future__ import annotations

from typing import Any

from flyball_handlers import probe_wiring, wiring
from flyball_handlers.probe_minute import run_minute
from flyball_handlers.tick import tick_time_s


def handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Make the checks of the event's minute.

    Returns:
        How many checks were made, how many found their target well, how many could not be made.
    """
    runtime = wiring.runtime()
    now_s = runtime.clock.now_s()
    minute_s = tick_time_s(event, now_s) // 60.0 * 60.0
    try:
        came = run_minute(runtime, probe_wiring.prober(runtime), minute_s=minute_s)
    finally:
        runtime.telemetry.flush(now_s=now_s)
    return came._asdict()
