"""What the simulation remembers to be quick changes nothing that it finds."""

from __future__ import annotations

import pytest

from flyball_controller import loop
from simulation import speed
from simulation.schedule import draw
from simulation.world import run

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_run_comes_to_the_same_with_and_without_memory(monkeypatch: pytest.MonkeyPatch):
    """Seed 2: the release before, people, damage. The second time all is remembered from the first."""
    seeds = (2, 3, 14)
    with speed.remembering():
        first = [run(draw(seed)) for seed in seeds]
        again = [run(draw(seed)) for seed in seeds]
    monkeypatch.setattr(speed, "PLACES", ())
    assert first == again == [run(draw(seed)) for seed in seeds]


def test_nothing_is_remembered_after_the_outermost_block():
    """A bug that is planted later must be met everywhere; one inside of a block shares its memory."""
    with speed.remembering():
        run(draw(0))
        assert speed.state_of.cache_info().currsize > 0
        quick = loop.decode_state
        with speed.remembering():
            pass
        assert loop.decode_state is quick
        assert speed.state_of.cache_info().currsize > 0
    assert loop.decode_state is not quick
    assert speed.state_of.cache_info().currsize == 0


def test_what_stands_in_place_of_a_function_is_left_there(monkeypatch: pytest.MonkeyPatch):
    """A planted bug must not be replaced by the right function, however quick."""

    def planted(data: bytes) -> object:
        raise ValueError(data)

    monkeypatch.setattr(loop, "decode_state", planted)
    with speed.remembering():
        assert loop.decode_state is planted
    assert loop.decode_state is planted


def test_a_record_that_cannot_be_read_is_read_anew_at_each_time():
    """It uses up the slots of the hour as of now: then is not now."""
    limits = speed.Limits()
    early, late = (speed._record_of(b"nonsense", now_s=at_s, limits=limits) for at_s in (100.0, 200.0))
    assert set(early.starts) == {100.0}
    assert set(late.starts) == {200.0}


def test_what_is_remembered_by_identity_is_forgotten_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    """A batch runs for minutes."""
    asked: list[int] = []
    monkeypatch.setattr(speed, "_KEPT_MAX", 2)
    remembered = speed.ByIdentity(lambda one: asked.append(len(one)) or len(one))
    things = [[0] * length for length in range(1, 5)]
    assert [remembered(thing) for thing in (*things, things[3], things[0])] == [1, 2, 3, 4, 4, 1]
    assert asked == [1, 2, 3, 4, 1]
