"""Bytes and JSON: one value, one encoding; what cannot be read is named."""

from __future__ import annotations

import base64
import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_runs import calm, run, window
from flyball_controller.codec import (
    canonical_json,
    decode_state,
    encode_state,
    journal_record,
    observation_from_json,
    observation_to_json,
    policy_digest,
    short_hash,
)
from flyball_controller.core import step
from flyball_controller.core.baseline import Baseline
from flyball_controller.core.errors import CheckpointError
from flyball_controller.core.fleet import FleetState
from flyball_controller.core.model import Observation, Quality
from flyball_controller.core.policy import Policy
from flyball_controller.core.promise import NO_RARITY
from flyball_controller.fleet_codec import decode_fleet, encode_fleet
from strategies import windows


def test_a_journal_record_can_be_recomputed_from_itself():
    """O2: state, observation and policy give the same decision a year later."""
    state, _ = run(calm(0, 60))
    seen = window(60, timeouts=300)
    after, decision = step(state, seen, Policy())
    record = json.loads(
        canonical_json(
            journal_record(decision, seen, encode_state(state), encode_state(after), with_state=True)
        )
    )
    again_state = decode_state(base64.b64decode(record["state"]))
    again, decided = step(again_state, observation_from_json(record["observation"]), Policy())
    assert short_hash(encode_state(again)) == record["state_after"]
    assert decided == decision


def test_a_checkpoint_of_version_1_is_read_without_what_it_did_not_know():
    """An update must not forget what was learned; what version 1 did not know starts anew."""
    state, _ = run([*calm(0, 60), *(window(60 + i, fast=590) for i in range(3))])
    assert state.rarity != NO_RARITY
    body = encode_state(state)[7:]
    head = struct.calcsize("<BidiBdi4dIIIIB") + struct.calcsize("<4dQBd")
    numbers = struct.unpack_from("<10dq4dqdd", body, head)
    slots = struct.unpack_from("<180H168H168H168B24H", body, head + 144)
    rest = body[head + 144 + 2 * (180 + 168 + 168 + 24) + 168 + 40 :]
    old_body = (
        body[:head]
        + struct.pack("<9dqdd", *numbers[:9], *numbers[10:13])
        + struct.pack("<180H168H168B", *slots[:348], *slots[516:684])
        + rest
    )
    old = struct.pack("<2sBI", b"fb", 1, zlib.crc32(old_body)) + old_body
    base = state.baseline
    new = Baseline()
    unknown = base._replace(
        minute_floor=0.0,
        hour_before=base.hour,
        recent=new.recent,
        hour_failures=0.0,
        hour_requests=0.0,
        hour_peak=0.0,
        hour_best=1.0,
        third_index=-1,
        third_failures=0.0,
        third_requests=0.0,
    )
    assert unknown != base
    assert decode_state(old) == state._replace(rarity=NO_RARITY, baseline=unknown)


@given(windows())
def test_observations_survive_json(seen):
    """Every field, exactly."""
    assert observation_from_json(json.loads(canonical_json(observation_to_json(seen)))) == seen


def test_numbers_that_json_has_no_word_for_are_kept_as_text():
    """An impossible window goes into the journal as it came, and the line stays valid JSON."""
    wild = Observation("t", float("nan"), float("inf"), 0.0, 10**50, -1)
    plain = observation_to_json(wild)
    assert (plain["start_s"], plain["period_s"]) == ("nan", "inf")
    assert plain["requests"] == "1" + "0" * 39
    canonical_json(plain)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"requets": 1}, "unknown field 'requets'"),
        ({"requests": "many"}, "requests='many'"),
        ({"quality": "GOOD"}, "quality='GOOD'"),
    ],
)
def test_a_wrong_observation_names_the_field(change, part):
    """For the person who edits a journal by hand."""
    with pytest.raises(CheckpointError, match=part):
        observation_from_json({**observation_to_json(window(0)), **change})


def test_a_missing_field_is_named():
    """Nothing is guessed about when it was."""
    plain = observation_to_json(window(0))
    del plain["start_s"]
    with pytest.raises(CheckpointError, match="'start_s'"):
        observation_from_json(plain)


def test_a_newer_or_foreign_checkpoint_is_refused_by_name():
    """Old and new controllers run at once during a deployment: the old one must not misread."""
    state, _ = run(calm(0, 3))
    data = bytearray(encode_state(state))
    data[2] = 9
    with pytest.raises(CheckpointError, match="version 9 is not supported"):
        decode_state(bytes(data))
    data[:2] = b"XY"
    with pytest.raises(CheckpointError, match="not a flyball state"):
        decode_state(bytes(data))


def test_the_digest_is_of_the_numbers_alone():
    """Two files with the same numbers are the same policy."""
    assert policy_digest(Policy()) == policy_digest(Policy(digest="whatever"))
    assert policy_digest(Policy()) != policy_digest(Policy(retry_floor=0.04))


def test_enums_are_written_by_name():
    """A number in a journal would need a table."""
    assert canonical_json([Quality.PARTIAL, {1: ("a", None)}]) == b'["PARTIAL",{"1":["a",null]}]'


@given(
    st.lists(st.text(min_size=1, max_size=20), max_size=5),
    st.lists(st.tuples(st.text(max_size=20), st.floats(0, 1e10)), max_size=5),
    st.floats(-1, 1e10),
)
def test_the_fleets_record_survives_its_codec(names, tightened, frozen):
    """Whatever targets are called."""
    fleet = FleetState(tuple(sorted(set(names))), tuple(tightened), frozen)
    assert decode_fleet(encode_fleet(fleet)) == fleet


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"open_targets":[],"tightened":[["a",1e999]],"frozen_until_s":0}']
)
def test_a_damaged_fleet_record_is_an_empty_one(data):
    """It only ever restrains: losing it must not stop the controller."""
    assert decode_fleet(data) == FleetState()
