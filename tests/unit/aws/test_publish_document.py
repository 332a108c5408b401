"""The wished document: merged, identified by what it says, never one that a client would refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import DEFAULT_PARAMS, ContractError, RetryParams, TargetParams, decode_document
from flyball_controller.aws.publish_document import (
    READINGS_KEPT,
    Readings,
    Wish,
    above,
    adds_nothing,
    content_hash,
    make_wish,
)

NOW = 1_700_000_000.9
CALM = TargetParams()
TIGHT = TargetParams(retry=RetryParams(max_attempts=2, budget_ratio=0.0))


def wish(
    params: dict[str, TargetParams], standing: Wish | None = None, *, policy: str = "p", revision: int = 1
) -> Wish:
    """Make a wish with what does not matter filled in."""
    return make_wish(
        standing.document if standing else None,
        params,
        defaults=DEFAULT_PARAMS,
        policy_hash=policy,
        revision=revision,
        now_s=NOW,
    )


def test_targets_that_are_not_wished_keep_what_they_have():
    """A run triggered by one alarm sees one target; the others must not fall back to defaults."""
    first = wish({"a": TIGHT, "b": CALM})
    second = wish({"b": TIGHT}, first, revision=2)
    assert decode_document(second.data).targets == {"a": TIGHT, "b": TIGHT}
    assert second.document.generated_at == "2023-11-14T22:13:20Z"


def test_identity_is_what_is_said_and_not_when_or_how():
    """A no-op must not be deployed: neither another revision nor 1 for 1.0 is a change."""
    first = wish({"a": TIGHT})
    spelt = TIGHT._replace(retry=TIGHT.retry._replace(budget_ratio=0))
    assert wish({"a": spelt}, first, revision=9).content == first.content
    assert content_hash(decode_document(first.data)) == first.content
    assert first.description.endswith(first.content)
    assert len(first.description) <= 1_024


def test_any_parameter_target_or_policy_is_a_change():
    """Each is something a client or an auditor would miss."""
    base = wish({"a": TIGHT})
    contents = {
        base.content,
        wish({"a": CALM}).content,
        wish({"b": TIGHT}).content,
        wish({"a": TIGHT}, policy="q").content,
    }
    assert len(contents) == 4


@pytest.mark.parametrize(
    "params",
    [
        {"a": TargetParams(retry=RetryParams(max_attempts=99))},
        {"a": TargetParams(retry=RetryParams(budget_ratio=float("nan")))},
        {"": CALM},
        {f"target-{i:04d}": CALM for i in range(400)},
    ],
)
def test_what_a_client_would_refuse_or_bend_is_no_wish(params: dict[str, TargetParams]):
    """A1: out of bounds, no number, no name, over 64 KiB."""
    with pytest.raises(ContractError):
        wish(params)


@given(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from([CALM, TIGHT])),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from([CALM, TIGHT])),
    st.sampled_from("pq"),
    st.sampled_from([DEFAULT_PARAMS, TIGHT]),
)
def test_a_wish_adds_nothing_exactly_when_its_content_is_what_stands(first, wished, policy, defaults):
    """The short way must answer as the long one: a change that it missed would never be deployed."""
    standing = decode_document(wish(first).data)
    long = make_wish(
        standing, wished, defaults=defaults, policy_hash=policy, revision=2, now_s=NOW, content=""
    )
    nothing = adds_nothing(standing, wished, defaults=defaults, policy_hash=policy)
    assert nothing == (long.content == content_hash(standing))


def test_what_stands_is_wished_without_being_written_again():
    """Nine rounds in ten; an unreadable document above it is something else, and is replaced."""
    standing = decode_document(wish({"a": TIGHT}).data)
    wishes = [
        make_wish(
            standing,
            {"a": TIGHT},
            defaults=DEFAULT_PARAMS,
            policy_hash="p",
            revision=2,
            now_s=NOW,
            content=content,
        )
        for content in (content_hash(standing), "unreadable:3")
    ]
    assert wishes[0] == Wish(standing, b"", content_hash(standing))
    assert decode_document(wishes[1].data).revision == 2


def test_the_revision_rises_above_every_version_number():
    """After a lost record, clients that hold revision 40 must not ignore the next document."""
    first = wish({"a": TIGHT}, revision=3)
    assert above(first, 2) is first
    raised = above(first, 40)
    assert (raised.document.revision, decode_document(raised.data).revision) == (41, 41)
    assert raised.content == first.content


def test_a_reading_is_what_the_bytes_say_however_often_they_are_read():
    """What is remembered must be what would be read anew."""
    readings, data = Readings(), wish({"a": TIGHT}).data
    first = readings.of(data)
    assert first == (decode_document(data), content_hash(decode_document(data)))
    assert readings.of(bytes(bytearray(data))) is first
    assert readings.of(b"no document") == (None, "")


def test_only_the_last_few_readings_are_kept():
    """A document of a whole fleet is large, and a container lives for days."""
    readings = Readings()
    data = [wish({f"t{n}": TIGHT}).data for n in range(READINGS_KEPT + 1)]
    first = readings.of(data[0])
    for one in data[1:-1]:
        readings.of(one)
    assert readings.of(data[0]) is first  # and is the newest used now
    readings.of(data[-1])
    assert readings.of(data[0]) is first
    second = readings.of(data[1])  # had been dropped
    assert second == Readings().of(data[1])
    assert len(readings._kept) == READINGS_KEPT
