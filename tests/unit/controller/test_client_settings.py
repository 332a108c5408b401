"""What a policy says about the calls themselves reaches the clients: waits, time-outs, places."""

from __future__ import annotations

import pytest

from flyball.contract import BOUNDS, DEFAULT_PARAMS, Document, decode_document, encode_document
from flyball_controller.codec import LATER_FIELDS, policy_digest
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.policy import Policy
from flyball_controller.core.state import nominal_setpoint
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_ranges import RANGES
from flyball_controller.policy_set import PolicySet, compile_set, load_compiled, load_preset
from flyball_controller.publication import to_params

POLICY = b"""version: 1
targets:
  slow-model: {attempt_timeout_ms: 20000, base_ms: 1000, cap_ms: 10000, max_concurrent: 5}
"""
"""Back-off of 1 s doubling to 10 s, answers that take up to 20 s, five calls at once."""


@pytest.fixture
def policies() -> PolicySet:
    """A fleet of which one target is patient."""
    return parse_policy(POLICY, where="fleet.yaml")


def test_waits_time_out_and_places_of_a_target_stand_in_its_parameters(policies):
    """They were the document's alone: who edited it there lost the controller for that target."""
    policy = policies.for_target("slow-model")
    params = to_params(nominal_setpoint(policy), policy)
    assert (params.retry.base_ms, params.retry.cap_ms) == (1_000, 10_000)
    assert params.retry.attempt_timeout_ms == 20_000
    assert params.bulkhead.max_concurrent == 5


def test_the_other_targets_keep_the_compiled_in_values(policies):
    """A policy that says nothing changes nothing: 100 ms to 2 s, 1 s an attempt, no limit."""
    policy = policies.for_target("payments")
    params = to_params(nominal_setpoint(policy), policy)
    assert params.retry[1:3] == DEFAULT_PARAMS.retry[1:3] == (100, 2_000)
    assert params.retry.attempt_timeout_ms == DEFAULT_PARAMS.retry.attempt_timeout_ms == 1_000
    assert params.bulkhead == DEFAULT_PARAMS.bulkhead


def test_they_survive_compiling_and_the_clients_clipping(policies):
    """Compiled policies are what the functions obey, and a client clips what it receives."""
    policy = load_compiled(compile_set(policies), where="compiled").for_target("slow-model")
    params = to_params(nominal_setpoint(policy), policy)
    written = encode_document(Document(1, "2026-01-01T00:00:00Z", "p", {"slow-model": params}))
    document = decode_document(written)
    assert document.targets["slow-model"].retry.attempt_timeout_ms == 20_000
    assert document.targets["slow-model"].bulkhead.max_concurrent == 5


@pytest.mark.parametrize("field", ["base_ms", "cap_ms", "attempt_timeout_ms"])
def test_a_policy_may_ask_for_what_a_client_obeys_and_for_no_more(field):
    """A number that is clipped elsewhere would be a policy that lies."""
    assert RANGES[field] == BOUNDS["retry"][field]


def test_the_places_have_the_clients_range_too():
    """0 is no limit, as in the client."""
    assert RANGES["max_concurrent"] == BOUNDS["bulkhead"]["max_concurrent"]


def test_a_cap_under_the_first_wait_is_refused():
    """The client would let the base win, silently."""
    with pytest.raises(PolicyError, match="cap_ms must not be under base_ms"):
        parse_policy(b"version: 1\ndefaults: {base_ms: 3000}\n", where="fleet.yaml")


def test_a_policy_that_says_nothing_of_them_keeps_its_identity():
    """Journals and stored policies of before name it: an update must not make another policy of it."""
    assert policy_digest(Policy()) == "dd9b4e6eeac7e3fd"
    assert load_preset("ladder").hash == "605afa33fc817237"
    assert len({policy_digest(Policy(**{field: 2_000})) for field in LATER_FIELDS - {"cap_ms"}}) == 3
    assert policy_digest(Policy(cap_ms=3_000)) != policy_digest(Policy())
