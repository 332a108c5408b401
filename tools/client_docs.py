"""Write the generated parts of docs/reference/client.md: tables from the records, diagrams from the code.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. A test says
when to run this again. What only people know (meanings) stands here, one entry
per field and metric; a field without a meaning, or the reverse, is an error.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

import flyball.environment
import flyball.errors
import flyball.hooks
from flyball.breaker import EXPIRED_PROBE_S, NEVER
from flyball.call import Call, Outcome, Target
from flyball.explain import explain
from flyball.faults import METRIC
from flyball.records import BOUNDS, CHOICES, DEFAULT_PARAMS, FLEET, SECTIONS, Circuit, CircuitState
from flyball.telemetry import COUNT_METRICS, LATENCY
from flyball_controller.core.circuit import TRANSITIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "client.md"

MEANINGS = {
    "retry.max_attempts": "attempts per call, the first included",
    "retry.base_ms": "upper end of the first wait; doubles with each retry",
    "retry.cap_ms": "no wait is longer",
    "retry.throttle_base_ms": "the same as base_ms, after a 429",
    "retry.budget_ratio": "retries per first attempt, over time; 0 = none",
    "retry.budget_burst": "retries that may be saved up",
    "retry.attempt_timeout_ms": "time of an attempt; three times that for the first of a new environment",
    "retry.fast_cost": "budget that a retry costs after a fast error; 1 after any other failure",
    "retry.jitter": "how waits are spread over their range",
    "throttle.k": "offered calls tolerated per call that came back in time",
    "throttle.cap_ratio": "largest share that is shed; 0 = nothing is",
    "throttle.window_s": "what the throttle looks back on",
    "breaker.failure_ratio": "share of fast failures that opens it",
    "breaker.min_calls": "calls in the window before it may open",
    "breaker.window_s": "what the breaker looks back on",
    "breaker.open_s": "pause before the first probe, up to a fifth longer",
    "breaker.probe_ratio": "share of calls let through while half-open",
    "breaker.close_after": "good probes in a row that close it, and probes at once",
    "breaker.slow_call_ms": "an answer that took this long is slow; 0 = none is",
    "breaker.slow_call_ratio": "share of slow calls that opens it",
    "breaker.consecutive_failures": "failures in a row that open it; a time-out is half of one; 0 = none do",
    "bulkhead.max_concurrent": "calls at once in one environment; 0 = no limit",
}
METRICS = {
    "requests": "calls whose first attempt was made and ended",
    "first_attempt_failures": "timeouts + throttles + errors_fast: what decisions are based on",
    "attempts": "requests + retries",
    "retries": "attempts but the first",
    "timeouts": "first attempts without an answer in time",
    "throttles": 'first attempts answered with "too many requests"',
    "errors_fast": "first attempts that failed otherwise",
    "errors_permanent": "calls that ended with the caller's own fault",
    "request_failures": "calls whose last attempt failed",
    "short_circuited": "calls not made: circuit, throttle, bulkhead or deadline",
    "fallbacks": "calls answered by the fallback",
    LATENCY: "duration of each attempt",
    METRIC: "attempts that met a fault on purpose; only while some are on",
}
UNITS = {"_ms": "ms", "_s": "s", "_ratio": "ratio"}


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def defaults() -> str:
    """Return the table of every parameter: default, range, unit, meaning."""
    fields = [(section, field) for section in SECTIONS for field in getattr(DEFAULT_PARAMS, section)._fields]
    named = {f"{section}.{field}" for section, field in fields}
    if named != set(MEANINGS):
        raise SystemExit(
            f"tools/client_docs.py: MEANINGS and records differ in {sorted(named ^ set(MEANINGS))}"
        )
    rows = []
    for section, field in fields:
        value = getattr(getattr(DEFAULT_PARAMS, section), field)
        if field in BOUNDS[section]:
            low, high = BOUNDS[section][field]
            default, bounds = f"{value:,}", f"{low:,} to {high:,}"
        else:
            default, bounds = str(value), ", ".join(CHOICES[section][field])
        unit = next((unit for suffix, unit in UNITS.items() if field.endswith(suffix)), "")
        rows.append((f"`{section}.{field}`", default, bounds, unit, MEANINGS[f"{section}.{field}"]))
    return table(("parameter", "default", "range", "unit", "meaning"), rows)


def telemetry() -> str:
    """Return the table of every metric."""
    names = (*COUNT_METRICS, LATENCY, METRIC)
    if set(names) != set(METRICS):
        raise SystemExit(
            f"tools/client_docs.py: METRICS and telemetry differ in {sorted(set(names) ^ set(METRICS))}"
        )
    rows = [(f"`{name}`", "Milliseconds" if name == LATENCY else "Count", METRICS[name]) for name in names]
    return table(("metric", "unit", "meaning"), rows)


def first_sentence(documented: object) -> str:
    """Return the first sentence of a docstring, on one line."""
    paragraph = (documented.__doc__ or "").strip().split("\n\n")[0]
    return re.split(r"(?<=[.:;]) ", " ".join(paragraph.split()))[0].rstrip(":;.")


def errors() -> str:
    """Return the table of what flyball raises."""
    kinds = [kind for kind in vars(flyball.errors).values() if isinstance(kind, type)]
    rows = [(f"`{kind.__name__}`", f"`{kind.__base__.__name__}`", first_sentence(kind)) for kind in kinds]
    return table(("error", "is a", "meaning"), rows)


def hooks() -> str:
    """Return the table of events."""
    events = flyball.hooks.Event.__args__
    rows = [(f"`{event.__name__}`", ", ".join(event._fields), first_sentence(event)) for event in events]
    return table(("event", "fields", "meaning"), rows)


def environment() -> str:
    """Return the table of variables, from the docstring that documents them."""
    rows = re.findall(r"^    ([A-Z_]+) +(.+)$", flyball.environment.__doc__ or "", re.MULTILINE)
    return table(("variable", "meaning"), [(f"`{name}`", meaning) for name, meaning in rows])


def explanation() -> str:
    """Return what explain says of the defaults."""
    return f"```\n{explain(Target('payments-api')).text}\n```"


# --- diagrams -------------------------------------------------------------------------


def diagram(edges: dict[tuple[str, str], list[str]], start: str) -> str:
    """Return a Mermaid state diagram; several events between the same states share an arrow."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    lines += [f"    {a} --> {b}: {' / '.join(labels)}" for (a, b), labels in edges.items()]
    return "\n".join([*lines, "```"])


def published_circuit() -> str:
    """Return the controller's transition table as a diagram, without what changes nothing."""
    edges: dict[tuple[str, str], list[str]] = {}
    for (before, event), after in TRANSITIONS.items():
        if before != after:
            edges.setdefault((before.name.lower(), after.name.lower()), []).append(event.name.lower())
    return diagram(edges, "closed")


class Trial:
    """A target on a clock of its own, to which things happen."""

    VALID_S = 1_000.0

    def __init__(self) -> None:
        self.target = Target("t")
        self.now_s = 1_000.0
        self.version = 0

    @property
    def node(self) -> str:
        """The state, and by whom."""
        state = self.target.state(self.now_s)
        name = state.name.lower()
        if state == CircuitState.CLOSED:
            return name
        breaker = self.target._breaker
        if breaker._obeyed is not None:
            return f"{name}_published"
        ends = state == CircuitState.HALF_OPEN and breaker._local_until_s < NEVER
        return f"{name}_expired" if ends else f"{name}_here"

    def call(self, outcome: Outcome, times: int) -> None:
        for _ in range(times):
            call = self.target.begin(self.now_s, 0.0)
            if isinstance(call, Call):
                call.finish(outcome, now_s=self.now_s, draw=0.0, latency_ms=1.0)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def publish(self, state: CircuitState) -> None:
        self.version += 1
        self.now_s += 1.0
        self.target.apply_circuit(
            Circuit(
                target="t",
                function=FLEET,
                state=state,
                changed_at=self.now_s,
                error_count=9,
                probe_ratio=0.1,
                version=self.version,
                write_id="w",
                stamp=self.now_s,
                valid_until=self.now_s + self.VALID_S,
                reason="",
            )
        )


CLOSE_AFTER, OPEN_S = DEFAULT_PARAMS.breaker.close_after, DEFAULT_PARAMS.breaker.open_s
# What can happen, and in which states it means anything.
EVENTS: dict[str, tuple[Callable[[Trial], None], str]] = {
    "nearly all calls fail": (lambda trial: trial.call(Outcome.ERROR_FAST, 20), "closed"),
    "open_s is over": (lambda trial: trial.wait(OPEN_S), "open_here"),
    "close_after good probes": (lambda trial: trial.call(Outcome.SUCCESS, CLOSE_AFTER), ".*open.*"),
    "a bad probe": (lambda trial: trial.call(Outcome.ERROR_FAST, 1), ".*open.*"),
    "published open": (lambda trial: trial.publish(CircuitState.OPEN), ".*"),
    "published closed": (lambda trial: trial.publish(CircuitState.CLOSED), ".*"),
    "valid_until is over": (lambda trial: trial.wait(Trial.VALID_S), ".*_published"),
    f"{EXPIRED_PROBE_S:g} s later": (lambda trial: trial.wait(EXPIRED_PROBE_S), ".*_expired"),
}


def replay(path: tuple[str, ...]) -> Trial:
    """Return a target to which these events happened, one after the other."""
    trial = Trial()
    for event in path:
        EVENTS[event][0](trial)
        trial.target.state(trial.now_s)
    return trial


def local_circuit() -> str:
    """Return the diagram of one environment's circuit, found by trying each event in each state."""
    edges: dict[tuple[str, str], list[str]] = {}
    start = replay(()).node
    paths = {start: ()}
    queue = deque([start])
    while queue:
        before = queue.popleft()
        for event, (_, where) in EVENTS.items():
            if not re.fullmatch(where, before):
                continue
            path = (*paths[before], event)
            after = replay(path).node
            if after not in paths:
                paths[after] = path
                queue.append(after)
            if after != before:
                edges.setdefault((before, after), []).append(event)
    return diagram(edges, start)


PARTS: dict[str, Callable[[], str]] = {
    "defaults": defaults,
    "environment": environment,
    "errors": errors,
    "explain": explanation,
    "hooks": hooks,
    "local-circuit": local_circuit,
    "published-circuit": published_circuit,
    "telemetry": telemetry,
}


def rendered(page: str) -> str:
    """Return the page with every generated part made anew."""
    named = re.findall(r"<!-- generated: ([a-z-]+) -->", page)
    if sorted(named) != sorted(PARTS):
        raise SystemExit(
            f"{PAGE.name}: parts {sorted(set(named) ^ set(PARTS))} are missing, unknown or there twice"
        )

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{PARTS[match[2]]()}\n<!-- end -->"

    return re.sub(r"(<!-- generated: ([a-z-]+) -->)\n.*?<!-- end -->", part, page, flags=re.DOTALL)


def main() -> None:
    """Write the page."""
    PAGE.write_text(rendered(PAGE.read_text()))


if __name__ == "__main__":
    main()
