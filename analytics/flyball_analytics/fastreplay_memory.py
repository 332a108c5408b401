"""Between a target's State and the flat arrays of the compiled replay; nothing is computed here.

`memory_of` lays a quiet state out, `state_of` reads it back, bit for bit. Which states
are quiet, and which policies the quiet path can serve, is said here too. Derived
values (medians, the running hour) are filled in by fastreplay_loop.py's own rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from flyball_analytics.fastreplay_block import DESK
from flyball_analytics.fastreplay_columns import COUNT_FAST_MAX, COUNTS, FLOATS, History
from flyball_analytics.fastreplay_learning import VISIT_ROW
from flyball_analytics.fastreplay_ring import RING
from flyball_controller.core.baseline import MINUTES, QUANTA, RECENT, Baseline
from flyball_controller.core.evidence import Window
from flyball_controller.core.guardrails import guard
from flyball_controller.core.kernel import HOURS, UNVISITED, VISITS, minute_median
from flyball_controller.core.model import HoldKind, Mode, Regime
from flyball_controller.core.policy import Law, Policy
from flyball_controller.core.promise import Rarity, needed_s
from flyball_controller.core.state import NEVER, NO_HOLD, State, nominal_setpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HELD = (HoldKind.FREEZE, HoldKind.FORCE_OPEN, HoldKind.FORCE_CLOSED)


class Columns(NamedTuple):
    """The arrays of a History, and for each the mask of its index: all ones, or 0 where it is constant."""

    start_s: NDArray[np.float64]
    window_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]
    latency_ms_p50: NDArray[np.float64]
    latency_ms_p99: NDArray[np.float64]
    requests: NDArray[np.int64]
    timeouts: NDArray[np.int64]
    errors_fast: NDArray[np.int64]
    throttles: NDArray[np.int64]
    attempts: NDArray[np.int64]
    request_failures: NDArray[np.int64]
    short_circuited: NDArray[np.int64]
    sound: NDArray[np.uint8]
    mask: NDArray[np.int64]  # by place above


class Params(NamedTuple):
    """The policy's numbers that the quiet path reads, each of one type."""

    is_ladder: bool
    promise: int
    needed_s: float
    retry_floor: float
    retry_adaptive: bool
    retry_multiple: float
    retry_spread_k: float
    open_floor: float
    open_adaptive: bool
    open_multiple: float
    open_spread_k: float
    trip_ceiling: float
    reset_floor: float
    reset_point: float
    reset_multiple: float
    timeout_trip: float
    normal_floor: float
    normal_multiple: float
    z_act: float
    min_requests: int
    min_errors: int
    pool_s_max: float
    quiet_s: float
    valid_for_s: float
    act_within_s: float
    half_life_s: float
    rise_factor: float
    winsor_k: float
    profile_visits_min: int
    confidence_full_s: float


class Memory(NamedTuple):
    """One target's state as arrays, changed in place.

    `times`: stamp, seen, data, valid until, end of the hold, last own change. `law`:
    windows in a row that are bad, clean; hold factor; useless; sequence. `sums`: of the
    hour failures, requests, peak, best third; of the third failures, requests. `running`:
    hour, third. `ring_at`: place of the newest window, how many there are. `counted`:
    quiet windows with too little data, between, clean. `minute`: three rows of VISIT_ROW
    places, the newest visits first. Derived: `medians` of the minutes as ratios, the first
    one again at the end; `middles`, the same in quanta, UNVISITED where unknown;
    `nearest`, the last medians of hours and of minutes. Scratch: `desk`, `week`.
    """

    level: NDArray[np.float64]
    times: NDArray[np.float64]
    law: NDArray[np.int64]
    sums: NDArray[np.float64]
    running: NDArray[np.int64]
    rarity: NDArray[np.float64]
    minute: NDArray[np.int64]
    medians: NDArray[np.float64]
    hour: NDArray[np.int64]
    hour_before: NDArray[np.int64]
    hour_visits: NDArray[np.int64]
    hour_cached: NDArray[np.float64]
    recent: NDArray[np.int64]
    ring_times: NDArray[np.float64]
    ring_counts: NDArray[np.int64]
    ring_at: NDArray[np.int64]
    counted: NDArray[np.int64]
    kept: NDArray[np.float64]
    desk: NDArray[np.float64]
    middles: NDArray[np.int64]
    week: NDArray[np.int64]
    nearest: NDArray[np.int64]


def columns_for(history: History) -> Columns:
    """Return what the loop reads of a history."""
    import numpy as np

    names = (*FLOATS, *COUNTS[:-1])
    mask = np.array([-1 if len(getattr(history, name)) > 1 else 0 for name in names], dtype=np.int64)
    arrays: dict[str, Any] = {name: getattr(history, name) for name in names}
    return Columns(**arrays, sound=history.sound, mask=mask)


def params_for(policy: Policy) -> Params:
    """Return the policy's numbers, each as the type its field declares."""
    derived: dict[str, Any] = {
        "is_ladder": policy.law == Law.LADDER,
        "promise": int(policy.promise),
        "needed_s": float(needed_s(policy)),
    }
    read: dict[str, Any] = {
        name: kind(getattr(policy, name))
        for name, kind in get_type_hints(Params).items()
        if name not in derived
    }
    return Params(**{**derived, **read})


def can_serve(policy: Policy) -> bool:
    """Return whether the guardrails leave nominal alone and the bounds are ordered as in policy files."""
    nominal = nominal_setpoint(policy)
    guarded = guard(nominal, nominal, NO_HOLD, policy, 0.0)
    return (
        policy.mode != Mode.OFF
        and guarded.setpoint == nominal
        and not guarded.evidence
        and policy.z_open >= policy.z_act >= 0.0
        and policy.winsor_k >= 0.0
        and policy.blind_after_s >= 0.0
        and policy.min_requests > 0
        and policy.min_errors > 0
        and policy.confidence_full_s > 0.0
    )


def is_quiet(state: State, policy: Policy) -> bool:
    """Return whether a state is nominal in everything, so that a quiet window leaves it so."""
    law = state.law
    small = all(-1 <= count <= COUNT_FAST_MAX for window in state.ring for count in window[2:])
    return (
        law.regime == Regime.NOMINAL
        and law.applied == nominal_setpoint(policy)
        and law.off_since_s == NEVER
        and law.off_count == 0
        and len(state.ring) < RING
        and small
    )


def memory_of(state: State) -> Memory:
    """Return a quiet state laid out in arrays."""
    import numpy as np

    base, law = state.baseline, state.law
    held_until_s = state.hold.until_s if state.hold.kind in HELD else NEVER
    ring_times = np.zeros((RING, 2))
    ring_counts = np.zeros((RING, 7), dtype=np.int64)
    for place, window in enumerate(state.ring):
        ring_times[place] = window[:2]
        ring_counts[place] = window[2:]
    floats, ints = np.float64, np.int64
    return Memory(
        np.array(base[:10], floats),
        np.array(
            [state.stamp_s, state.seen_s, state.data_s, state.valid_until_s, held_until_s, law.changed_s],
            floats,
        ),
        np.array([law.bad_count, law.clean_count, law.hold_factor, law.useless, state.sequence], ints),
        np.array(
            [
                base.hour_failures,
                base.hour_requests,
                base.hour_peak,
                base.hour_best,
                base.third_failures,
                base.third_requests,
            ],
            floats,
        ),
        np.array([base.hour_index, base.third_index], ints),
        np.array([state.rarity.any_s, *state.rarity.independent_s], floats),
        _visits(base.minute),
        np.array([minute_median(base.minute, at % MINUTES) / QUANTA for at in range(MINUTES + 1)], floats),
        np.array(base.hour, ints),
        np.array(base.hour_before, ints),
        np.array(base.hour_visits, ints),
        np.full(2, -1.0),
        np.array(base.recent + (UNVISITED,) * 8, ints),
        ring_times,
        ring_counts,
        np.array([(len(state.ring) - 1) % RING, len(state.ring)], ints),
        np.zeros(3, ints),
        np.full(2, -1.0),
        np.ones(DESK),
        np.array([_middle(base.minute, minute) for minute in range(MINUTES)] + [UNVISITED] * 4, ints),
        np.zeros(HOURS // 24, ints),
        np.zeros(2, ints),
    )


def _visits(profile: tuple[int, ...]) -> NDArray[np.int64]:
    import numpy as np

    rows = np.full((VISITS, VISIT_ROW), UNVISITED, np.int64)
    rows[:, :MINUTES] = np.array(profile).reshape(MINUTES, VISITS).T
    return rows.reshape(-1)


def _middle(profile: tuple[int, ...], minute: int) -> int:
    known = profile[minute * VISITS + VISITS - 1] != UNVISITED
    return minute_median(profile, minute) if known else UNVISITED


def state_of(memory: Memory, before: State) -> State:
    """Return the state in the arrays; what a quiet window never touches is that of `before`."""
    law = memory.law.tolist()
    times = memory.times.tolist()
    sums = memory.sums.tolist()
    hour_index, third_index = memory.running.tolist()
    rarity = memory.rarity.tolist()
    newest, count = memory.ring_at.tolist()
    ring = tuple(
        Window(*memory.ring_times[place].tolist(), *memory.ring_counts[place].tolist())
        for place in ((newest - back) % RING for back in range(count - 1, -1, -1))
    )
    level = Baseline(*memory.level.tolist())  # its first ten fields
    baseline = level._replace(
        minute=tuple(memory.minute.reshape(VISITS, VISIT_ROW)[:, :MINUTES].T.reshape(-1).tolist()),
        hour=tuple(memory.hour.tolist()),
        hour_before=tuple(memory.hour_before.tolist()),
        hour_visits=tuple(memory.hour_visits.tolist()),
        recent=tuple(memory.recent[:RECENT].tolist()),
        hour_index=hour_index,
        hour_failures=sums[0],
        hour_requests=sums[1],
        hour_peak=sums[2],
        hour_best=sums[3],
        third_index=third_index,
        third_failures=sums[4],
        third_requests=sums[5],
    )
    return before._replace(
        law=before.law._replace(
            bad_count=law[0], clean_count=law[1], hold_factor=law[2], useless=bool(law[3])
        ),
        baseline=baseline,
        ring=ring,
        stamp_s=times[0],
        seen_s=times[1],
        data_s=times[2],
        valid_until_s=times[3],
        sequence=law[4],
        rarity=Rarity(rarity[0], (rarity[1], rarity[2], rarity[3], rarity[4])),
    )
