"""Between a target's State and the flat arrays of the compiled replay; nothing is computed here.

`memory_of` lays a quiet state out, `state_of` reads it back, bit for bit. Which states
are quiet, and which policies the quiet path can serve, is said here too. Derived
values (medians, the running hour) are filled in by fastreplay_loop.py's own rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from flyball_analytics.fastreplay_agree import Lane
from flyball_analytics.fastreplay_columns import COUNT_FAST_MAX, COUNTS, FLOATS, History
from flyball_analytics.fastreplay_desk import DESK
from flyball_analytics.fastreplay_learning import VISIT_ROW
from flyball_analytics.fastreplay_ring import RING
from flyball_controller.core.baseline import MINUTES, QUANTA, RECENT, Baseline
from flyball_controller.core.evidence import Window
from flyball_controller.core.guardrails import guard
from flyball_controller.core.kernel import HOURS, UNVISITED, VISITS
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


# Thresholds: of two policies that differ in nothing else, `agreed` of fastreplay_block.py says whether a
# quiet window is the same. In the order of its records.
LANE_FIELDS = Lane._fields


class Memory(NamedTuple):
    """One target's state as arrays, changed in place.

    `times`: stamp, seen, data, valid until, end of the hold, last own change. `law`:
    windows in a row that are bad, clean; hold factor; useless; sequence. `sums`: of the
    hour failures, requests, peak, best third; of the third failures, requests. `running`:
    hour, third. `ring_at`: place of the newest window, how many there are. `counted`:
    quiet windows with too little data, between, clean. `minute`: three rows of VISIT_ROW
    places, the newest visits first. Derived: `medians` of the minutes as ratios, the first
    one again at the end; `middles`, the same in quanta, UNVISITED where unknown;
    `nearest`, the last medians of hours and of minutes. Scratch: `desk`, `week`. `lanes`: a row
    for each other policy that has the same state, its LANE_FIELDS.
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
    lanes: NDArray[np.float64]


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
        name: kind(getattr(policy, name)) for name, kind in _types_of_params().items() if name not in derived
    }
    return Params(**{**derived, **read})


def lanes_for(policies: Sequence[Policy]) -> tuple[tuple[float, ...], ...]:
    """Return the thresholds of all policies but the first one, each different set once."""
    own, *others = (tuple(float(getattr(policy, name)) for name in LANE_FIELDS) for policy in policies)
    return tuple(lane for lane in dict.fromkeys(others) if lane != own)


@lru_cache(maxsize=1)
def _types_of_params() -> dict[str, Any]:
    return get_type_hints(Params)


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
    return (
        law.regime == Regime.NOMINAL
        and law.off_count == 0
        and law.off_since_s == NEVER
        and law.applied == nominal_setpoint(policy)
        and len(state.ring) < RING
        and all(-1 <= count <= COUNT_FAST_MAX for window in state.ring for count in window[2:])
    )


def memory_of(state: State, lanes: Sequence[tuple[float, ...]] = ()) -> Memory:
    """Return a quiet state laid out in arrays; `lanes` as in `lanes_for`."""
    memory = _blank(lanes)
    lay_out(memory, state)
    return memory


def _blank(lanes: Sequence[tuple[float, ...]]) -> Memory:
    import numpy as np

    floats, ints = np.float64, np.int64
    return Memory(
        level=np.zeros(10, floats),
        times=np.zeros(6, floats),
        law=np.zeros(5, ints),
        sums=np.zeros(6, floats),
        running=np.zeros(2, ints),
        rarity=np.zeros(5, floats),
        minute=np.full(VISITS * VISIT_ROW, UNVISITED, ints),
        medians=np.zeros(MINUTES + 1, floats),
        hour=np.zeros(HOURS, ints),
        hour_before=np.zeros(HOURS, ints),
        hour_visits=np.zeros(HOURS, ints),
        hour_cached=np.zeros(2, floats),
        recent=np.full(RECENT + 8, UNVISITED, ints),
        ring_times=np.zeros((RING, 2), floats),
        ring_counts=np.zeros((RING, 7), ints),
        ring_at=np.zeros(2, ints),
        counted=np.zeros(3, ints),
        kept=np.zeros(2, floats),
        desk=np.ones(DESK, floats),
        middles=np.full(MINUTES + 4, UNVISITED, ints),
        week=np.zeros(HOURS // 24, ints),
        nearest=np.zeros(2, ints),
        lanes=np.array(lanes, floats).reshape(len(lanes), len(LANE_FIELDS)),
    )


def lay_out(memory: Memory, state: State) -> None:
    """Write a quiet state into arrays, whatever they held before."""
    import numpy as np

    base, law = state.baseline, state.law
    held_until_s = state.hold.until_s if state.hold.kind in HELD else NEVER
    memory.level[:] = base[:10]
    memory.times[:] = (
        state.stamp_s, state.seen_s, state.data_s, state.valid_until_s, held_until_s, law.changed_s
    )  # fmt: skip
    memory.law[:] = (law.bad_count, law.clean_count, law.hold_factor, law.useless, state.sequence)
    memory.sums[:] = (
        base.hour_failures, base.hour_requests, base.hour_peak, base.hour_best,
        base.third_failures, base.third_requests,
    )  # fmt: skip
    memory.running[:] = (base.hour_index, base.third_index)
    memory.rarity[:] = (state.rarity.any_s, *state.rarity.independent_s)
    visits = np.array(base.minute, np.int64).reshape(MINUTES, VISITS)
    memory.minute.reshape(VISITS, VISIT_ROW)[:, :MINUTES] = visits.T
    # A minute is known from its third visit on: then the middle one of three is its median.
    known, middle = visits[:, VISITS - 1] != UNVISITED, np.sort(visits, axis=1)[:, 1]
    memory.middles[:MINUTES] = np.where(known, middle, UNVISITED)
    memory.medians[:MINUTES] = np.where(known, middle, 0) / QUANTA
    memory.medians[MINUTES] = memory.medians[0]
    memory.hour[:], memory.hour_before[:], memory.hour_visits[:] = (
        base.hour,
        base.hour_before,
        base.hour_visits,
    )
    memory.recent[:RECENT] = base.recent
    for place, window in enumerate(state.ring):
        memory.ring_times[place], memory.ring_counts[place] = window[:2], window[2:]
    memory.ring_at[:] = ((len(state.ring) - 1) % RING, len(state.ring))
    memory.counted[:], memory.nearest[:] = 0, 0
    memory.hour_cached[:], memory.kept[:] = -1.0, -1.0


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
