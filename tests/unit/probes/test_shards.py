"""Shards: every target has exactly one owner, and few move when shards are added."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.errors import SettingsError
from flyball_controller.shards import SHARDS_MAX, Shard, owned, read_shard, shard_of

TARGETS = st.lists(st.text(min_size=1, max_size=20), max_size=60)


@given(TARGETS, st.integers(1, SHARDS_MAX))
def test_every_target_has_exactly_one_owner(targets: list[str], total: int) -> None:
    """O7: none is looked at by nobody, and none by two."""
    owners = Counter(
        (place, target)
        for number in range(1, total + 1)
        for place, target in enumerate(targets)
        if target in owned([target], Shard(number, total))
    )
    assert owners == dict.fromkeys(enumerate(targets), 1)
    assert [t for t in targets if shard_of(t, total) == 1] == list(owned(targets, Shard(1, total)))


@given(TARGETS, st.integers(1, SHARDS_MAX - 1))
def test_one_shard_more_takes_targets_and_moves_none_between_the_others(
    targets: list[str], total: int
) -> None:
    """A state that changes hands costs a cold cache; all of them at once would cost a cold fleet."""
    for target in targets:
        before, after = shard_of(target, total), shard_of(target, total + 1)
        assert after in (before, total + 1)


@pytest.mark.parametrize("total", [2, 7, 40])
def test_shards_are_of_about_equal_size(total: int) -> None:
    """Ten thousand targets: each share within five standard deviations of the mean."""
    sizes = Counter(shard_of(f"team-{n % 37}/service-{n}", total) for n in range(10_000))
    mean = 10_000 / total
    assert len(sizes) == total
    assert all(abs(size - mean) < 5.0 * mean**0.5 for size in sizes.values())


def test_owners_are_the_same_in_every_release() -> None:
    """Two versions of the controller run side by side while one replaces the other."""
    assert [shard_of(name, 5) for name in ("payments-api", "checkout", "stock", "search", "mail")] == [
        1,
        3,
        1,
        3,
        4,
    ]


@pytest.mark.parametrize(
    "text", ["", "1", "0/4", "5/4", "1/0", "1/101", "01/4", "1/4 ", "a/b", "１/４", "-1/4"]
)
def test_a_shard_that_cannot_be_is_refused_with_its_form(text: str) -> None:
    """A shard that nobody serves is a share of targets that nobody looks at."""
    with pytest.raises(SettingsError, match="must be k/n with 1 <= k <= n <= 100") as refused:
        read_shard(text, field="FLYBALL_SHARD")
    assert refused.value.field == "FLYBALL_SHARD"


@given(st.integers(1, SHARDS_MAX), st.data())
def test_a_shard_is_read_as_it_is_written(total: int, data: st.DataObject) -> None:
    """Settings, logs and schedules show the same form."""
    shard = Shard(data.draw(st.integers(1, total)), total)
    assert read_shard(str(shard), field="x") == shard
