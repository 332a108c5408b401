"""Which settings of the value detector are refused, and that the error names the field."""

from __future__ import annotations

import math

import pytest

from flyball_controller.core.band_settings import RATIO, BandSettings, checked
from flyball_controller.core.errors import CheckpointError, PolicyError


def test_what_is_shipped_is_accepted():
    """And given back as it is."""
    assert checked(RATIO) is RATIO
    assert checked(BandSettings()) == BandSettings()
    assert checked(BandSettings(young_rows=0.0, over_rate=1.0, reset_share=0.0)).young_rows == 0.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spread_k", 0.0),
        ("ratio", 0.9),
        ("season_ratio", math.nan),
        ("excess", -1.0),
        ("ready_rows", 2),
        ("half_life_s", 0.0),
        ("reset_share", 1.5),
        ("over_rate", -0.1),
        ("high", 0.0),
        ("high", math.inf),
        ("ceiling", 0.0),
        ("floor", 1e18),
    ],
)
def test_a_value_that_cannot_be_obeyed_is_named(field, value):
    """NaN and bounds that exclude everything among them."""
    with pytest.raises(PolicyError) as caught:
        checked(BandSettings(**{field: value}))
    assert caught.value.field == field
    assert field in str(caught.value)


LEAST = {
    "excess": 0.0, "ratio": 1.0, "spread_min_ratio": 0.0, "grain_k": 0.0, "season_k": 0.0,
    "season_ratio": 1.0,
    "peak_margin": 1.0, "young_rows": 0.0, "ready_rows": 3, "vote_s": 0.0, "reset_share": 0.0,
    "half_life_rows": 1.0, "young_forget": 1.0, "over_rate": 0.0, "season_stop_s": 0.0, "peak_s_max": 0.0,
    "restore_s": 0.0, "restore_rows": 1,
}  # fmt: skip
OVER = ("spread_k", "half_life_s", "clip_k", "peak_half_life_s", "relearn_s")


def _said(**change: float) -> tuple[str, str, object]:
    with pytest.raises(PolicyError) as caught:
        checked(BandSettings(**change))  # type: ignore[arg-type]
    return str(caught.value), caught.value.field, caught.value.value


@pytest.mark.parametrize("field", LEAST)
def test_the_least_value_is_allowed_and_what_is_less_is_named_whole(field):
    """Message, field, and what came."""
    least = LEAST[field]
    assert getattr(checked(BandSettings(**{field: least})), field) == least
    less = least - 0.5
    assert _said(**{field: less}) == (f"{field}={less!r} must be at least {least}", field, less)


@pytest.mark.parametrize("field", OVER)
def test_what_must_be_over_nothing_may_be_next_to_it(field):
    """A half-life of 0 divides by it."""
    assert getattr(checked(BandSettings(**{field: 1e-9})), field) == 1e-9
    assert _said(**{field: 0.0}) == (f"{field}=0.0 must be over 0.0", field, 0.0)


@pytest.mark.parametrize("field", ["reset_share", "over_rate"])
def test_a_share_may_be_all(field):
    """And no more."""
    assert getattr(checked(BandSettings(**{field: 1.0})), field) == 1.0
    assert _said(**{field: 1.25}) == (f"{field}=1.25 must be at most 1: it is a share", field, 1.25)


def test_range_ceiling_and_floor_are_named_with_their_reason():
    """Each pair that excludes everything."""
    assert checked(BandSettings(low=-1e18)).low == -1e18
    assert checked(BandSettings(low=1.0, high=1.5, ceiling=1.25, floor=1.0)).high == 1.5
    within = "and both within +-1e+18"
    assert _said(low=5.0, high=5.0) == (f"high=5.0 must be over low=5.0, {within}", "high", 5.0)
    assert _said(low=-2e18)[0] == f"high=1e+18 must be over low=-2e+18, {within}"
    assert _said(high=2e18) == (f"high=2e+18 must be over low=0.0, {within}", "high", 2e18)
    assert _said(low=5.0, ceiling=5.0) == (
        "ceiling=5.0 must be over low=5.0: else every value is over it", "ceiling", 5.0,
    )  # fmt: skip
    assert _said(floor=5.0, ceiling=5.0) == (
        "floor=5.0 must be under ceiling=5.0: between them is the band", "floor", 5.0,
    )  # fmt: skip


def test_an_error_names_its_kind_and_steers_no_terminal():
    """`flyball explain` knows the kind; what came may hold anything."""
    plain = PolicyError("a\x1bb", field="x")
    assert (str(plain), plain.field, plain.value, plain.code) == (r"a\x1bb", "x", None, "wrong-value")
    full = PolicyError("m", field="y", value=3, code="unknown-key")
    assert (full.value, full.code) == (3, "unknown-key")
    assert str(CheckpointError("a\x1bb")) == r"a\x1bb"
