"""The policy in force: one pointer, written conditionally, and policies under their own identity."""

from __future__ import annotations

import pytest

from flyball_controller.codec import with_digest
from flyball_controller.core.errors import PolicyError
from flyball_controller.fakes import MemoryCheckpoints
from flyball_controller.policy_set import load_preset
from flyball_controller.policy_store import (
    NOTHING_APPLIED,
    POINTER_KEY,
    Pointer,
    SupersededError,
    content_key,
    put_in_force,
    read_pointer,
    read_policy,
    store_policy,
)
from flyball_controller.ports import Checkpoint, PortError

NOW_S = 1_700_000_000.0
TWO_LOOP, LADDER = load_preset("two-loop"), load_preset("ladder")


@pytest.fixture
def store() -> MemoryCheckpoints:
    """An empty store."""
    return MemoryCheckpoints()


def put(store: MemoryCheckpoints, policies, after: Pointer = NOTHING_APPLIED) -> Pointer:
    """Put a policy in force as Nora does."""
    return put_in_force(store, policies, after=after, by="nora", why="drill", now_s=NOW_S)


def test_nothing_is_in_force_before_something_was_applied(store):
    """Each controller then obeys its own."""
    assert read_pointer(store) == NOTHING_APPLIED


def test_what_was_put_in_force_is_read_back_whole(store):
    """Every controller must come to the same policy, with the same identity."""
    pointer = put(store, TWO_LOOP)
    assert pointer == Pointer(1, TWO_LOOP.hash, "", "two-loop", "nora", "drill", NOW_S)
    assert read_pointer(store) == pointer
    assert read_policy(store, pointer.hash) == TWO_LOOP


def test_each_pointer_names_what_was_in_force_before(store):
    """A rollback has to know it."""
    second = put(store, LADDER, put(store, TWO_LOOP))
    assert (second.number, second.before) == (2, TWO_LOOP.hash)
    third = put(store, None, second)
    assert (third.number, third.hash, third.before) == (3, "", LADDER.hash)
    assert read_policy(store, LADDER.hash) == LADDER


def test_of_two_people_who_apply_at_once_one_is_refused(store):
    """The second has not seen what the first did."""
    first = put(store, TWO_LOOP)
    with pytest.raises(SupersededError, match=r"policy 1 .*applied by nora meanwhile") as caught:
        put(store, LADDER)
    assert caught.value.current == first
    assert read_pointer(store) == first


def test_a_lost_reply_is_recognised(store):
    """The write went through; telling the person otherwise would be a lie."""
    store_policy(store, TWO_LOOP, now_s=NOW_S)
    store.fail_next(after_effect=True)
    with pytest.raises(PortError, match="reply lost"):
        put(store, TWO_LOOP)
    assert put(store, TWO_LOOP).number == 1


def test_the_same_policy_is_stored_once(store):
    """Its key is its identity: there is nothing to write again."""
    store_policy(store, TWO_LOOP, now_s=NOW_S)
    store_policy(store, TWO_LOOP, now_s=NOW_S)
    assert store.saves == 1


def test_a_policy_that_another_writes_at_this_moment_counts_if_it_is_the_same(store):
    """Two people apply the same file; and two different contents under one key cannot both be right."""

    class Overtaken(MemoryCheckpoints):
        """Somebody writes between our look and our write."""

        theirs = b""

        def save(self, key: str, data: bytes, **arguments):
            self.items[key] = Checkpoint(1, self.theirs or data, "theirs")
            return super().save(key, data, **arguments)

    same = Overtaken()
    store_policy(same, TWO_LOOP, now_s=NOW_S)
    other = Overtaken()
    other.theirs = b"x"
    with pytest.raises(PortError, match="being written by others"):
        store_policy(other, TWO_LOOP, now_s=NOW_S)


def test_a_policy_that_is_not_there_is_no_policy(store):
    """Never another one in its place."""
    with pytest.raises(PolicyError, match="policy abc is not in the store"):
        read_policy(store, "abc")


def test_a_policy_under_a_wrong_identity_is_refused(store):
    """A copy by hand, or damage."""
    store_policy(store, TWO_LOOP, now_s=NOW_S)
    store.items[content_key("abc")] = store.items[content_key(TWO_LOOP.hash)]
    with pytest.raises(PolicyError, match=f"#policy/abc: holds policy {TWO_LOOP.hash}"):
        read_policy(store, "abc")


def test_a_policy_that_contradicts_itself_is_refused_as_its_file_would_be(store):
    """Written past `flyball apply`, under its right identity."""
    broken = TWO_LOOP._replace(default=with_digest(TWO_LOOP.default._replace(z_act=6.0)))
    store_policy(store, broken, now_s=NOW_S)
    with pytest.raises(PolicyError, match="default: z_open must be at least z_act") as caught:
        read_policy(store, broken.hash)
    assert (caught.value.field, caught.value.code) == ("z_open", "contradiction")


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b'{"schema":2}', b'{"schema":1}', b'{"schema":1,"at_s":"x"}']
)
def test_a_pointer_that_cannot_be_read_is_an_error_that_says_what_to_do(store, data):
    """The controller keeps what it has; a person applies a policy over it."""
    store.items[POINTER_KEY] = Checkpoint(7, data)
    with pytest.raises(PolicyError, match="apply a policy to replace it"):
        read_pointer(store)


def test_the_identity_of_a_set_is_its_own_and_is_worked_out_once():
    """Each round asks for it, and a fleet's policies are thousands of numbers; a copy has another."""
    policies = load_preset("two-loop")
    first = policies.hash
    assert policies.hash is first
    renamed = policies._replace(name="other")
    assert renamed.hash == first  # a name is no part of it
    changed = policies._replace(default=policies.default._replace(attempts_nominal=2))
    assert changed.hash not in (first, renamed.hash)
