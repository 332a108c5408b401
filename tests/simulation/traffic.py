"""What each dependency is like in each minute, and the sensor through which controllers see it.

Counts are fixed by the minute's health: a simulation of faults must not depend on
luck. What the sensor shows of a minute is partial at first, whole 20 s after its
end, later if it was delayed, and nothing if nobody called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from flyball_controller.core.model import Observation, Quality
from flyball_controller.ports import PortError

T0 = 1_699_999_200.0  # a full hour
LOOK_BACK_S = 3_600.0
WHOLE_AFTER_S = 20.0
# requests, time-outs, fast errors, throttles
COUNTS: dict[str, tuple[int, int, int, int]] = {
    "healthy": (600, 0, 1, 0),
    "dead": (600, 0, 590, 0),
    "saturated": (600, 300, 0, 0),
    "broken": (600, 0, 150, 0),
    "throttled": (600, 0, 0, 300),
}


@lru_cache(maxsize=4_096)
def window(target: str, start_s: float, health: str, *, share: float = 1.0) -> Observation:
    """Return the window of a minute in which the target was `health`; partial: of a `share`."""
    made, timeouts, fast, throttles = (int(share * count) for count in COUNTS[health])
    failed = timeouts + fast + throttles
    return Observation(
        target,
        start_s,
        60.0,
        start_s + 60.0,
        made,
        timeouts,
        fast,
        throttles,
        made + failed,
        timeouts,
        latency_ms_p99=200.0,
        quality=Quality.OK if share == 1.0 else Quality.PARTIAL,
    )


class Traffic:
    """Health of all targets over time, by minute."""

    def __init__(self, targets: Sequence[str]) -> None:
        self.health = dict.fromkeys(targets, "healthy")
        self._past: dict[tuple[str, int], str] = {}
        self._delays_s: dict[tuple[str, int], float] = {}
        self._minute = 0

    def pass_to(self, now_s: float) -> None:
        """Write down what the minutes until now were like."""
        minute = int((now_s - T0) // 60.0)
        while self._minute <= minute:
            for target, health in self.health.items():
                self._past[target, self._minute] = health
            self._minute += 1

    def change(self, target: str, health: str) -> None:
        """Change a target's health, from the present minute on."""
        self.health[target] = health
        self._past[target, self._minute - 1] = health

    def delay(self, target: str, now_s: float, delay_s: float) -> None:
        """Let this minute's window arrive late."""
        self._delays_s[target, int((now_s - T0) // 60.0)] = delay_s

    def seen(
        self, target: str, now_s: float, *, since_s: float, arrived_s: float | None = None
    ) -> list[Observation]:
        """Return what the sensor shows at `now_s` of the minutes that start after `since_s`, oldest first.

        It arrives at `arrived_s`, by default at `now_s`.
        """
        arrived_s = now_s if arrived_s is None else arrived_s
        last = int((now_s - T0) // 60.0)
        first = max(0, int((max(since_s, now_s - LOOK_BACK_S) - T0) // 60.0))
        found = []
        for minute in range(first, last):
            health = self._past.get((target, minute), "silent")
            start_s = T0 + 60.0 * minute
            whole_s = start_s + 60.0 + WHOLE_AFTER_S
            if start_s <= since_s or health == "silent" or now_s < whole_s - WHOLE_AFTER_S:
                continue
            if now_s < whole_s + self._delays_s.get((target, minute), 0.0):
                if (target, minute) not in self._delays_s:
                    found.append(window(target, start_s, health, share=0.5)._replace(arrived_s=arrived_s))
                continue
            found.append(window(target, start_s, health)._replace(arrived_s=arrived_s))
        return found


class SimSensor:
    """The sensor of one controller."""

    def __init__(self, traffic: Traffic, ask: Callable[[str], str], true_now_s: Callable[[], float]) -> None:
        self._traffic = traffic
        self._ask = ask
        self._true_now_s = true_now_s

    def _call(self, operation: str) -> None:
        if self._ask(operation) in ("throttle", "error", "lost", "late"):
            raise PortError(f"{operation} failed", backend="metrics", retryable=True)

    def read(
        self, targets: Sequence[str], *, since_s: Mapping[str, float], now_s: float
    ) -> Mapping[str, tuple[Observation, ...]]:
        """Return what arrived, as of the true time: a controller's clock cannot look ahead."""
        self._call("GetMetricData")
        until_s = min(now_s, self._true_now_s())
        seen = self._traffic.seen
        found = {name: seen(name, until_s, since_s=since_s[name], arrived_s=now_s) for name in targets}
        return {name: tuple(windows) for name, windows in found.items() if windows}

    def history(self, target: str, *, until_s: float, days: int) -> tuple[Observation, ...]:
        """Return twenty healthy minutes before the simulation began, and what came since."""
        self._call("GetMetricData of the past")
        past = [window(target, T0 - 60.0 * ago, "healthy") for ago in range(20, 0, -1)]
        since = self._traffic.seen(target, self._true_now_s(), since_s=T0 - 1.0)
        whole = [w for w in since if w.quality == Quality.OK]
        return tuple(w for w in (*past, *whole) if w.start_s < until_s)
