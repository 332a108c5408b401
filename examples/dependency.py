"""What the examples call: a service with a few servers and a queue, that can lose servers, fail or say no.

It keeps serving requests whose callers have left, as real ones do; that is what
makes retry storms outlive their cause. Same model as in `flyball simulate`.
"""

from __future__ import annotations

from collections.abc import Callable

from examples.scene import Alarm, Scene
from flyball_analytics.plant.downstream import Downstream

NETWORK_S = 0.01
QUEUE_S = 3.0  # a full queue holds this much work per server


class BadGatewayError(Exception):
    """The service answered 502."""


class Dependency:
    """A service with a capacity of `servers / work_s` requests a second."""

    def __init__(self, scene: Scene, *, servers: int, work_s: float) -> None:
        self.requests = 0
        self.served = 0
        self._scene = scene
        self._work_s = work_s
        self._queue = Downstream(servers=servers, queue_max=round(servers * QUEUE_S / work_s))
        self._draws = scene.random("dependency")
        self._error_ratio = 0.0
        self._refuses = False

    def lose(self, ratio: float, *, from_s: float, until_s: float) -> None:
        """Let a share of the servers be away for a while."""
        self._at(from_s, lambda: self._configure(1.0 - ratio))
        self._at(until_s, lambda: self._configure(1.0))

    def fail(self, ratio: float, *, from_s: float, until_s: float) -> None:
        """Let a share of the requests be answered with an error for a while."""
        self._at(from_s, lambda: setattr(self, "_error_ratio", ratio))
        self._at(until_s, lambda: setattr(self, "_error_ratio", 0.0))

    def refuse(self, *, from_s: float, until_s: float) -> None:
        """Let every connection be refused for a while."""
        self._at(from_s, lambda: setattr(self, "_refuses", True))
        self._at(until_s, lambda: setattr(self, "_refuses", False))

    def request(self, timeout_s: float) -> None:
        """Make a request and wait for its answer, in a stack of the scene.

        Raises:
            TimeoutError: There was no answer within `timeout_s`.
            ConnectionRefusedError: Nobody listens.
            BadGatewayError: It answered with an error.
        """
        self.requests += 1
        if self._refuses:
            self._scene.sleep(NETWORK_S)
            raise ConnectionRefusedError("connection refused")
        begun_s = self._scene.clock.now_s()
        work_s = self._work_s * (0.75 + 0.5 * self._draws.random())
        alarms: list[Alarm] = []
        job = self._queue.offer(begun_s, work_s, owner=alarms)
        gives_up_s = begun_s + timeout_s
        while True:
            until_s = gives_up_s if job is None else min(job.done_s, gives_up_s)
            if self._scene.clock.now_s() >= until_s:
                break
            self._scene.wait_until(until_s, alarms.append)
        if job is None or job.done_s > gives_up_s:
            raise TimeoutError(f"no answer within {timeout_s:g} s")
        if self._draws.random() < self._error_ratio:
            raise BadGatewayError("502")
        self.served += 1

    def _configure(self, servers_ratio: float) -> None:
        now_s = self._scene.clock.now_s()
        for job in self._queue.configure(now_s, servers_ratio=servers_ratio, slow_factor=1.0):
            assert isinstance(job.owner, list)  # noqa: S101 - we made it
            for alarm in job.owner:
                alarm.move(now_s)  # to look again when he will be served

    def _at(self, at_s: float, change: Callable[[], object]) -> None:
        self._scene.start(change, at_s=at_s)
