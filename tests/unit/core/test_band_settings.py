"""Which settings of the value detector are refused, and that the error names the field."""

from __future__ import annotations

import math

import pytest

from flyball_controller.core.band_settings import RATIO, BandSettings, checked
from flyball_controller.core.errors import PolicyError


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
