"""The three jitters, by hand; and the field that chooses one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.backoff import delay_s, pause_ms
from flyball.call import Call, Outcome, Target
from flyball.contract import (
    DEFAULT_PARAMS,
    ContractError,
    Document,
    Jitter,
    RetryParams,
    decode_document,
    document_schema,
    encode_document,
)


@pytest.mark.parametrize(
    ("jitter", "draw", "waits_ms"),
    [
        (Jitter.FULL, 0.0, [0.0, 0.0, 0.0]),
        (Jitter.FULL, 0.5, [50.0, 100.0, 200.0]),
        (Jitter.EQUAL, 0.0, [50.0, 100.0, 200.0]),
        (Jitter.EQUAL, 0.5, [75.0, 150.0, 300.0]),
        # 100 + 0 x (300 - 100); then from 100 again
        (Jitter.DECORRELATED, 0.0, [100.0, 100.0, 100.0]),
        # 100 + (300 - 100) / 2 = 200; 100 + (600 - 100) / 2 = 350; 100 + (1050 - 100) / 2 = 575
        (Jitter.DECORRELATED, 0.5, [200.0, 350.0, 575.0]),
    ],
)
def test_a_call_waits_by_its_jitter(jitter, draw, waits_ms):
    """Base 100 ms, cap 2 s: what three retries of one call wait."""
    params = DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0, jitter=jitter))
    target = Target("t", params=params)
    call = target.begin(0.0, 0.0, idempotent=True)
    assert isinstance(call, Call)
    waits_s = [call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=draw, latency_ms=1.0) for _ in range(3)]
    assert waits_s == pytest.approx([wait_ms / 1_000.0 for wait_ms in waits_ms])


def test_what_the_target_asked_for_does_not_grow_the_next_wait():
    """Decorrelated jitter follows what was drawn: 200 ms, although 2.2 s were waited; so 350 ms come next."""
    params = DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0, jitter=Jitter.DECORRELATED))
    call = Target("t", params=params).begin(0.0, 0.0, idempotent=True)
    first = call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.5, latency_ms=1.0, retry_after_s=2.0)
    second = call.finish(Outcome.ERROR_FAST, now_s=0.0, draw=0.5, latency_ms=1.0)
    assert (first, second) == (2.2, 0.35)


def test_a_throttle_after_a_short_wait_waits_from_its_own_base():
    """Drawn 100 ms before, base now 1,000 ms: the range 1,000 to 300 is empty, and the base holds."""
    assert pause_ms(
        2, base_ms=1_000, cap_ms=2_000, draw=0.9, jitter=Jitter.DECORRELATED, previous_ms=100.0
    ) == pytest.approx(1_000.0)


def test_the_cap_ends_every_jitter():
    """Drawn 1,500 ms before: three times that is beyond 2 s."""
    assert delay_s(
        3, base_ms=100, cap_ms=2_000, draw=0.99, jitter=Jitter.DECORRELATED, previous_ms=1_500.0
    ) == pytest.approx(2.0)
    assert delay_s(9, base_ms=100, cap_ms=2_000, draw=0.5, jitter=Jitter.EQUAL) == pytest.approx(1.5)


@given(
    retry=st.integers(1, 3),
    base=st.integers(1, 60_000),
    cap=st.integers(1, 60_000),
    draw=st.floats(0.0, 1.0, exclude_max=True),
    jitter=st.sampled_from(Jitter),
    previous=st.none() | st.floats(0.0, 60_000.0),
)
def test_a_wait_stays_in_its_range_whatever_comes(retry, base, cap, draw, jitter, previous):
    """K9: none is negative or beyond cap and base; equal waits half its range or more, the third the base."""
    wait = pause_ms(retry, base_ms=base, cap_ms=cap, draw=draw, jitter=jitter, previous_ms=previous)
    top = min(max(cap, base), base * 2 ** (retry - 1))
    least = {Jitter.FULL: 0.0, Jitter.EQUAL: top / 2, Jitter.DECORRELATED: min(base, max(cap, base))}[jitter]
    assert least <= wait <= max(cap, base)


def document(**retry: object) -> bytes:
    content = {
        "schema": 1,
        "revision": 1,
        "generated_at": "",
        "policy_hash": "",
        "targets": {"t": {"retry": retry}},
    }
    return json.dumps(content).encode()


def test_a_document_names_its_jitter():
    """And a target that says none takes that of `defaults`."""
    assert decode_document(document(jitter="equal")).targets["t"].retry.jitter is Jitter.EQUAL
    decorrelated = DEFAULT_PARAMS._replace(retry=RetryParams(jitter=Jitter.DECORRELATED))
    data = encode_document(Document(1, "", "", {"t": decorrelated}, defaults=decorrelated))
    assert data.count(b"decorrelated") == 1, "written once, inherited by the target"
    assert decode_document(data).targets["t"] == decorrelated


def test_an_unknown_jitter_is_a_newer_publishers_to_clients_and_a_typo_to_publishers():
    """A1, A3: the client keeps working with what it understands; nobody deploys a typo."""
    data = document(jitter="equall", max_attempts=2)
    assert decode_document(data).targets["t"].retry == RetryParams(max_attempts=2)
    with pytest.raises(
        ContractError, match="one of full, equal, decorrelated; did you mean 'equal'"
    ) as caught:
        decode_document(data, strict=True)
    assert caught.value.field == "targets.t.retry.jitter"


@pytest.mark.parametrize("strict", [True, False])
def test_a_jitter_that_is_no_word_is_refused(strict):
    """A wrong type cannot be understood by anybody."""
    with pytest.raises(ContractError, match="must be one of full, equal, decorrelated, not 3"):
        decode_document(document(jitter=3), strict=strict)


@pytest.mark.parametrize("wrong", ["spiral", "", 3, None, ["full"]])
def test_a_client_that_is_handed_nonsense_uses_full_jitter(wrong):
    """K10: whatever is received."""
    target = Target("t")
    target.apply_params(DEFAULT_PARAMS._replace(retry=RetryParams(jitter=wrong)), 1)
    assert target.params.retry.jitter is Jitter.FULL


def test_later_fields_are_written_only_where_they_are_used():
    """A validator from before them accepts the document, and it has not grown."""
    plain = encode_document(Document(1, "", "", {"t": DEFAULT_PARAMS}))
    for word in (b"jitter", b"slow_call", b"bulkhead", b"max_concurrent"):
        assert word not in plain
    slow = DEFAULT_PARAMS._replace(breaker=DEFAULT_PARAMS.breaker._replace(slow_call_ms=700))
    data = encode_document(Document(1, "", "", {"t": slow, "u": DEFAULT_PARAMS}, defaults=slow))
    decoded = decode_document(data)
    assert decoded.targets == {"t": slow, "u": DEFAULT_PARAMS}
    assert data.count(b"slow_call_ms") == 2, "in defaults, and where a target differs from them"


def test_the_schema_knows_the_words():
    """Generated from the same list."""
    assert document_schema()["definitions"]["retry"]["properties"]["jitter"] == {
        "type": "string",
        "enum": ["full", "equal", "decorrelated"],
    }
