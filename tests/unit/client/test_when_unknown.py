"""What a target does while nothing is known of it: pass, or refuse for a bounded time."""

from __future__ import annotations

import pytest

from flyball.breaker import EXPIRED_PROBE_S
from flyball.call import Call, Outcome, RejectReason, Target
from flyball.contract import DEFAULT_PARAMS, CircuitState, Document, RetryParams
from flyball.errors import CircuitOpenError, SettingsError, SourceError
from flyball.guard import target
from flyball.sources import StaticDocuments
from flyball.testing import force_closed
from unit.client.support import ScriptedReads, World, circuit

DOWN = SourceError("down", source="test")


def test_by_default_calls_pass_with_the_compiled_in_parameters():
    """O5: everything down for ever, and the function behaves as without the library."""
    world = World(documents=ScriptedReads(DOWN), circuits=ScriptedReads(DOWN))
    assert world.target().guard(world.function("fine"))() == "fine"


@pytest.mark.parametrize("sources", [{}, {"documents": ScriptedReads(DOWN), "circuits": ScriptedReads(DOWN)}])
def test_declared_open_calls_are_refused_while_nothing_is_known(sources):
    """The store fails since the start, or there is none: the reason is said, and when to ask again."""
    world = World(**sources)
    guarded = world.target(when_unknown="open").guard(world.function())
    with pytest.raises(CircuitOpenError, match="nothing is known of it yet") as caught:
        guarded()
    assert caught.value.retry_after_s == 30.0
    assert (world.calls, world.counters.short_circuited) == ([], 1)


@pytest.mark.parametrize(
    "sources",
    [
        {"documents": StaticDocuments(Document(0, "", "", {}))},
        {"circuits": ScriptedReads(())},
        {"documents": ScriptedReads(None), "circuits": ScriptedReads(())},
    ],
)
def test_a_first_read_is_knowledge_be_it_that_nothing_was_published(sources):
    """The very first call passes: it looks before it asks."""
    world = World(**sources)
    guarded = world.target(when_unknown="open").guard(world.function("fine"))
    assert guarded() == "fine"


def test_an_empty_document_source_is_no_knowledge():
    """Nothing was ever deployed: nothing is known."""
    world = World(documents=ScriptedReads(None))
    with pytest.raises(CircuitOpenError):
        world.target(when_unknown="open").guard(world.function())()


def test_knowledge_that_comes_later_lets_calls_pass_at_once():
    """The store is back after ten seconds; the next read finds it."""
    circuits = ScriptedReads(*[DOWN] * 3, (), DOWN)
    world = World(circuits=circuits)
    guarded = world.target(when_unknown="open").guard(world.function(*["fine"] * 99, took_s=0.0))
    outcomes = []
    for _ in range(40):
        world.clock.pass_s(1.0)
        try:
            outcomes.append(guarded())
        except CircuitOpenError:
            outcomes.append("refused")
    # Read at 1 s, and after each failure 1, 2, 4 s later and a twentieth more: at 3, 6 and 11 s.
    assert outcomes == ["refused"] * 10 + ["fine"] * 30
    assert world.runtime.knows


def test_what_was_known_stays_known_when_the_store_fails_later():
    """K3: last known, then closed; never back to knowing nothing."""
    world = World(circuits=ScriptedReads((), DOWN))
    guarded = world.target(when_unknown="open").guard(world.function(*range(50), took_s=0.0))
    for turn in range(50):
        assert guarded() == turn
        world.clock.pass_s(60.0)


def test_a_target_declared_later_asks_the_same_runtime():
    """Known is known for all targets: the store answers."""
    world = World(circuits=ScriptedReads((), DOWN))
    world.target().guard(world.function(1))()
    late = target("u", within=world.runtime, when_unknown="open")
    assert late.guard(lambda: "fine")() == "fine"


def test_refusing_ends_after_five_minutes_with_probes():
    """Never for ever: then one call per 30 s asks (the first at once), and three good ones close it."""
    world = World(circuits=ScriptedReads(DOWN))
    world.clock.fixed_draw = 0.99
    handle = world.target(when_unknown="open")
    guarded = handle.guard(world.function(*["fine"] * 9, took_s=0.0))
    world.clock.pass_s(EXPIRED_PROBE_S - 0.001)
    with pytest.raises(CircuitOpenError) as caught:
        guarded()
    assert caught.value.retry_after_s == pytest.approx(0.001)
    world.clock.pass_s(0.001)
    for _ in range(3):
        assert guarded() == "fine"
        if handle.target.state(world.clock.wall_s()) == CircuitState.HALF_OPEN:
            with pytest.raises(CircuitOpenError, match="its circuit is open"):
                guarded()
        world.clock.pass_s(30.0)
    assert handle.target.state(world.clock.wall_s()) == CircuitState.CLOSED
    assert len(world.calls) == 3


def test_a_bad_probe_after_it_opens_the_local_breaker():
    """Own evidence from then on."""
    dead = Target("t")
    dead.begin_blind(0.0)
    probe = dead.begin(EXPIRED_PROBE_S, 0.0)
    assert isinstance(probe, Call)
    probe.finish(Outcome.ERROR_FAST, now_s=EXPIRED_PROBE_S, draw=0.0, latency_ms=1.0)
    assert dead.begin(EXPIRED_PROBE_S + 1.0, 0.0).reason == RejectReason.CIRCUIT_OPEN
    assert dead.state(EXPIRED_PROBE_S + 30.0) == CircuitState.HALF_OPEN


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
def test_a_clock_that_was_set_ends_it_rather_than_prolonging_it(step_s):
    """A wall clock a day back would make five minutes a day."""
    blind = Target("t")
    blind.begin_blind(1_000_000.0)
    assert blind.state(1_000_000.0) == CircuitState.OPEN
    assert blind.state(1_000_000.0 + step_s) == CircuitState.HALF_OPEN


def test_declaring_it_again_does_not_begin_it_again():
    """A module that declares its target in every call must not refuse for ever."""
    world = World(circuits=ScriptedReads(DOWN))
    for _ in range(20):
        handle = world.target(when_unknown="open")
        world.clock.pass_s(60.0)
    assert handle.target.state(world.clock.wall_s()) == CircuitState.HALF_OPEN


@pytest.mark.parametrize("known", ["params", "circuit"])
def test_whatever_is_applied_is_knowledge(known):
    """For embeddings that bring documents and circuits themselves."""
    blind = Target("t")
    blind.begin_blind(1_000.0)
    assert blind.begin(1_000.0, 0.0).reason == RejectReason.UNKNOWN
    if known == "params":
        blind.apply_params(DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=2)), 1)
    else:
        blind.apply_circuit(circuit(CircuitState.CLOSED))
    assert isinstance(blind.begin(1_000.0, 0.0), Call)


def test_an_operators_force_outweighs_it():
    """Held open or closed, the reason is the hold."""
    world = World()
    handle = world.target(when_unknown="open")
    with force_closed("t", within=world.runtime):
        assert handle.guard(world.function("fine"))() == "fine"
    handle.target.hold(CircuitState.FORCED_OPEN)
    assert handle.target.begin(1_000.0, 0.0).reason == RejectReason.CIRCUIT_OPEN


def test_a_local_finding_outlives_knowledge():
    """What opened meanwhile on own evidence stays open when the store answers, and when blindness ends."""
    seen = Target("t")
    for _ in range(12):
        seen.begin(0.0, 0.0).finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.0, latency_ms=1.0)
    assert seen.state(0.0) == CircuitState.OPEN
    seen.begin_blind(0.0)
    seen.see()
    assert seen.state(1.0) == CircuitState.OPEN
    seen.begin_blind(-EXPIRED_PROBE_S)
    assert seen.state(2.0) == CircuitState.OPEN
    assert seen.state(30.0) == CircuitState.HALF_OPEN


def test_a_third_word_is_refused():
    """A typo must not choose the default silently."""
    with pytest.raises(SettingsError, match="when_unknown='opened' must be one of closed, open"):
        World().target(when_unknown="opened")
