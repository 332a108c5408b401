"""The wished document: merged, identified by what it says, never one that a client would refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import DEFAULT_PARAMS, ContractError, RetryParams, TargetParams, decode_document
from flyball_controller.aws.publish_document import (
    CONTENTS_KEPT,
    READINGS_KEPT,
    Readings,
    Wish,
    Wishes,
    above,
    adds_nothing,
    content_hash,
    written,
)

NOW = 1_700_000_000.9
CALM = TargetParams()
TIGHT = TargetParams(retry=RetryParams(max_attempts=2, budget_ratio=0.0))


def wish(
    params: dict[str, TargetParams], standing: Wish | None = None, *, policy: str = "p", revision: int = 1
) -> Wish:
    """Make a wish with what does not matter filled in."""
    return Wishes().make(
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
    long = Wishes().make(
        standing, wished, defaults=defaults, policy_hash=policy, revision=2, now_s=NOW, content=""
    )
    nothing = adds_nothing(standing, wished, defaults=defaults, policy_hash=policy)
    assert nothing == (long.content == content_hash(standing))


def test_what_stands_is_wished_without_being_written_again():
    """Nine rounds in ten; an unreadable document above it is something else, and is replaced."""
    standing = decode_document(wish({"a": TIGHT}).data)
    wishes = [
        Wishes().make(
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


WISHED = st.dictionaries(st.sampled_from("abc"), st.sampled_from([CALM, TIGHT]), max_size=3)


@given(wishes=st.lists(st.tuples(WISHED, st.sampled_from("pq"), st.integers(1, 3)), max_size=12))
def test_a_wish_that_comes_again_is_what_it_would_be_if_nobody_remembered(wishes):
    """A pending one is offered at each tick; what is remembered of it must be about exactly this one."""
    made, standing = Wishes(), wish({"a": CALM}).document
    for params, policy, revision in wishes:
        asked = {"defaults": DEFAULT_PARAMS, "policy_hash": policy, "revision": revision, "now_s": NOW}
        content = content_hash(standing)
        got = made.make(standing, params, content=content, **asked)
        fresh = Wishes().make(standing, params, content=content, **asked)
        assert got.content == fresh.content
        if fresh.data:
            assert written(got, now_s=NOW) == fresh


def test_a_pending_wish_is_encoded_once():
    """One of a fleet of 167 took 13 ms of each tick, for as long as the hour's deployments were used up."""
    made, first = Wishes(), wish({"a": TIGHT})
    asked = {"defaults": DEFAULT_PARAMS, "policy_hash": "p", "content": first.content}
    pending = [
        made.make(first.document, {"a": CALM}, revision=2 + n, now_s=NOW + 60.0 * n, **asked)
        for n in range(3)
    ]
    assert [bool(one.data) for one in pending] == [True, False, False]
    assert len({one.content for one in pending}) == 1
    last = written(pending[2], now_s=NOW + 120.0)
    assert (last.document.revision, last.document.generated_at) == (4, "2023-11-14T22:15:20Z")
    assert decode_document(last.data).targets == {"a": CALM}
    assert written(last, now_s=NOW + 999.0) is last


def test_what_stands_meanwhile_is_part_of_what_is_wished():
    """Somebody else's deployment between two ticks gives the same parameters another document."""
    made, asked = Wishes(), {"defaults": DEFAULT_PARAMS, "policy_hash": "p", "revision": 5, "now_s": NOW}
    one = made.make(wish({"b": CALM}).document, {"a": TIGHT}, **asked)
    two = made.make(wish({"b": TIGHT}).document, {"a": TIGHT}, **asked)
    assert one.content != two.content
    assert decode_document(two.data).targets == {"a": TIGHT, "b": TIGHT}


class Hosted(dict[int, bytes]):
    """Hosted versions, and which of them were fetched."""

    def __init__(self, versions: dict[int, bytes]) -> None:
        super().__init__(versions)
        self.fetched: list[int] = []

    def fetch(self, version: int) -> bytes | None:
        """Return the bytes of a version, None if it is gone."""
        self.fetched.append(version)
        return self.get(version)


def test_a_version_says_what_its_bytes_say_however_often_it_is_asked():
    """What is remembered must be what would be read anew; versions never change, so one fetch is enough."""
    hosted = Hosted({1: wish({"a": TIGHT}).data, 2: b"no document"})
    readings = Readings(hosted.fetch)
    document = decode_document(hosted[1])
    for _ in range(3):
        assert readings.at(1) == Readings.of(hosted[1]) == (document, content_hash(document))
        assert readings.content_at(1) == content_hash(document)
        assert readings.at(2) == (None, "")
        assert readings.content_at(2) == ""
    assert hosted.fetched == [1, 2]
    assert Readings().at(1) == (None, "")


def test_a_version_that_is_gone_is_asked_for_again():
    """Not there is an answer of this moment; and what was read of it before still holds."""
    hosted = Hosted({1: wish({"a": TIGHT}).data})
    readings = Readings(hosted.fetch)
    assert [readings.at(7), readings.content_at(7)] == [(None, ""), ""]
    first = readings.at(1)
    del hosted[1]
    assert readings.at(1) is first
    assert hosted.fetched == [7, 7, 1]


def test_only_the_last_few_documents_are_kept_and_the_identities_of_more():
    """A fleet's document is large, and a container lives for days; of old ones only the identity counts."""
    hosted = Hosted({n: wish({f"t{n}": TIGHT}).data for n in range(1, READINGS_KEPT + 2)})
    readings = Readings(hosted.fetch)
    for version in hosted:
        readings.at(version)
        readings.at(1)  # is used all the time, so version 2 gives way
    assert readings.content_at(2) == content_hash(decode_document(hosted[2]))
    assert hosted.fetched == list(hosted)
    assert readings.at(1).document == decode_document(hosted[1])
    assert readings.at(2).document == decode_document(hosted[2])
    assert hosted.fetched == [*hosted, 2]
    assert len(readings._kept) == READINGS_KEPT


def test_the_identities_are_bounded_too():
    """Two hundred bytes each, for as long as the container lives."""
    data = wish({"a": TIGHT}).data
    readings = Readings(lambda _: data)
    for version in range(1, CONTENTS_KEPT + 3):
        readings.content_at(version)
    assert len(readings._contents) == CONTENTS_KEPT
