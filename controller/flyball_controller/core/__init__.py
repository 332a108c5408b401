"""The decision core: pure, standard library only, no clock, no I/O, no randomness.

`step(state, observation, policy) -> (state, decision)` serves production,
replay and simulation alike, bit for bit.
"""

from flyball_controller.core.state import State, initial_state
from flyball_controller.core.step import step

__all__ = ["State", "initial_state", "step"]
