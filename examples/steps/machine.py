"""Runs a state machine in the scene: as much of the Amazon States Language as the examples use, and no more.

Task (Lambda only), Pass, Wait, Succeed and Fail; Retry with back-off and full
jitter; Catch; reference paths. Whatever else a definition holds is an error when
it is read, not a difference to Step Functions that nobody notices.

Source: Amazon States Language specification, "Errors"; Step Functions developer
guide, "Handling errors": each retrier counts its own attempts, the first that
matches decides, States.ALL stands alone and last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from examples.scene import Answer

LAMBDA = "arn:aws:states:::lambda:invoke"
KNOWN = {
    "Task": {"Resource", "Parameters", "ResultSelector", "ResultPath", "Retry", "Catch", "Next", "End"},
    "Pass": {"ResultPath", "Result", "Next", "End"},
    "Wait": {"Seconds", "Next", "End"},
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
}
RETRIER = {
    "ErrorEquals",
    "IntervalSeconds",
    "BackoffRate",
    "MaxAttempts",
    "MaxDelaySeconds",
    "JitterStrategy",
}
LAMBDA_ERRORS = {"TooManyRequestsException": "Lambda.TooManyRequestsException"}

Invoke = Callable[[str, Any], Answer]


class Ended(NamedTuple):
    """How an execution ended: the last state, its data, and the transitions that are paid for."""

    state: str
    succeeded: bool
    data: dict[str, Any]
    transitions: int


class UnsupportedError(ValueError):
    """The definition uses something that this does not know."""


class Machine:
    """A state machine. `invoke(name, payload)` runs a function, `sleep(seconds)` waits."""

    def __init__(
        self, source: Path, *, invoke: Invoke, sleep: Callable[[float], None], draws: Random
    ) -> None:
        """Read a definition.

        Raises:
            UnsupportedError: It holds a state or field that is not supported.
        """
        definition = json.loads(source.read_text())
        self._states: dict[str, dict[str, Any]] = definition["States"]
        self._start = definition["StartAt"]
        self._invoke = invoke
        self._sleep = sleep
        self._draws = draws
        for name, state in self._states.items():
            unknown = set(state) - KNOWN.get(state["Type"], set()) - {"Type", "Comment"}
            unknown |= {key for retrier in state.get("Retry", ()) for key in set(retrier) - RETRIER}
            if unknown or state["Type"] not in KNOWN or state.get("Resource", LAMBDA) != LAMBDA:
                raise UnsupportedError(
                    f"{source.name}: {name}: {sorted(unknown) or state['Type']} is not supported"
                )

    def execute(self, name: str, data: Mapping[str, Any]) -> Ended:
        """Run an execution to its end."""
        current, known, transitions = self._start, dict(data), 0
        while True:
            state = self._states[current]
            transitions += 1
            if state["Type"] in ("Succeed", "Fail"):
                return Ended(current, state["Type"] == "Succeed", known, transitions)
            if state["Type"] == "Wait":
                self._sleep(float(state["Seconds"]))
            elif state["Type"] == "Pass":
                _place(known, state.get("ResultPath", "$"), state.get("Result", {}))
            else:
                caught, tries = self._task(state, name, known)
                transitions += tries - 1
                if caught:
                    current = caught
                    continue
            if state.get("End"):
                return Ended(current, True, known, transitions)
            current = state["Next"]

    def _task(self, state: Mapping[str, Any], name: str, data: dict[str, Any]) -> tuple[str, int]:
        """Run a task until it ends; return where Catch leads, "" if it went well, and the tries."""
        used = [0] * len(state.get("Retry", ()))
        parameters = _filled(state["Parameters"], data, name)
        tries = 0
        while True:
            tries += 1
            answer = self._invoke(parameters["FunctionName"], parameters["Payload"])
            if not answer.error:
                result = _filled(
                    state.get("ResultSelector", {"Payload.$": "$.Payload"}), {"Payload": answer.result}, name
                )
                _place(data, state.get("ResultPath", "$"), result)
                return "", tries
            error = LAMBDA_ERRORS.get(answer.error, answer.error)
            number = next((n for n, r in enumerate(state.get("Retry", ())) if _matches(r, error)), None)
            if number is not None and used[number] < state["Retry"][number].get("MaxAttempts", 3):
                self._sleep(self._pause_s(state["Retry"][number], used[number]))
                used[number] += 1
                continue
            catcher = next((c for c in state.get("Catch", ()) if _matches(c, error)), None)
            if catcher is None:
                raise UnsupportedError(f"nothing catches {error}: the example would end here")
            _place(data, catcher.get("ResultPath", "$"), {"Error": error, "Cause": answer.text})
            return catcher["Next"], tries

    def _pause_s(self, retrier: Mapping[str, Any], used: int) -> float:
        pause_s = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** used
        pause_s = min(pause_s, retrier.get("MaxDelaySeconds", pause_s))
        return float(pause_s * self._draws.random() if retrier.get("JitterStrategy") == "FULL" else pause_s)


def _matches(rule: Mapping[str, Any], error: str) -> bool:
    return error in rule["ErrorEquals"] or "States.ALL" in rule["ErrorEquals"]


def _filled(template: Mapping[str, Any], data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a payload template with its reference paths looked up."""
    made: dict[str, Any] = {}
    for key, value in template.items():
        if key.endswith(".$"):
            made[key[:-2]] = _found(value, data, name)
        else:
            made[key] = _filled(value, data, name) if isinstance(value, Mapping) else value
    return made


def _found(path: str, data: Mapping[str, Any], name: str) -> Any:
    if path == "$$.Execution.Name":
        return name
    found: Any = data
    for part in path.removeprefix("$").strip(".").split("."):
        found = found[part] if part else found
    return found


def _place(data: dict[str, Any], path: str, value: Any) -> None:
    if path == "$":
        data.clear()
        data.update(value)
    else:
        data[path.removeprefix("$.")] = value
