"""Records without `typing` are those of `typing` in every respect that the package uses."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.named import NamedTuple
from flyball.records import BreakerParams, Circuit, Document, RetryParams, TargetParams


class Ours(NamedTuple):
    """Three fields, one of them with a default."""

    a: int
    b: float
    c: str = "c"

    @property
    def both(self) -> float:
        """A property of a record."""
        return self.a + self.b


class Theirs(typing.NamedTuple):
    """The reference: the same record by `typing`."""

    a: int
    b: float
    c: str = "c"

    @property
    def both(self) -> float:
        """A property of a record."""
        return self.a + self.b


VALUES = st.lists(st.integers(0, 3), max_size=5)
NAMED = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 3))


def outcome(make: object) -> object:
    """What a call gives: its value, or the kind of its error."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        return type(error)


@given(values=VALUES, named=NAMED)
def test_the_same_arguments_make_the_same_record_or_the_same_error(values, named):
    """By place, by name and by default, too many and too few."""
    ours = outcome(lambda: Ours(*values, **named))
    assert ours == outcome(lambda: Theirs(*values, **named))
    if isinstance(ours, tuple):
        assert repr(ours) == repr(Theirs(*ours)).replace("Theirs", "Ours")


@given(values=VALUES, named=NAMED)
def test_make_and_replace_do_what_theirs_do(values, named):
    """Unknown names and wrong lengths are refused with the same kind of error."""
    assert outcome(lambda: Ours._make(values)) == outcome(lambda: Theirs._make(values))
    ours, theirs = Ours(1, 2), Theirs(1, 2)
    assert outcome(lambda: ours._replace(**named)) == outcome(lambda: theirs._replace(**named))


def test_a_record_is_a_tuple_with_names():
    """What the rest of the code, and users, rely on."""
    ours, theirs = Ours(1, 2.0), Theirs(1, 2.0)
    assert (ours.a, ours.b, ours.c, ours.both) == (1, 2.0, "c", 3.0)
    assert ours == (1, 2.0, "c")
    assert hash(ours) == hash(theirs)
    assert ours._asdict() == theirs._asdict()
    assert (Ours._fields, Ours._field_defaults) == (Theirs._fields, Theirs._field_defaults)
    assert type(Ours) is type, "its class is a plain one: a record may be a base as any other class"
    assert typing.get_type_hints(Ours) == typing.get_type_hints(Theirs)
    match ours:
        case Ours(a, b, c):
            assert (a, b, c) == (1, 2.0, "c")


def test_a_record_holds_nothing_but_its_fields():
    """A misspelt assignment must fail, as it does with theirs."""
    ours = Ours(1, 2.0)
    assert not hasattr(ours, "__dict__")
    for field in ("a", "d"):
        with pytest.raises(AttributeError):
            setattr(ours, field, 5)


def test_copies_keep_the_kind():
    """Copied, and sent between processes: the simulator does."""
    for record in (Ours(1, 2.0), TargetParams(), Circuit("t", "*", 2, 0.0, 0, 0.1, 1, "", 0.0, 9.0, "")):
        for again in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):  # noqa: S301 - our own bytes
            assert again == record
            assert type(again) is type(record)


def test_an_error_names_the_record_and_the_argument():
    """Whoever misspells a field is told which there are."""
    with pytest.raises(TypeError, match=r"RetryParams\(\) got an unexpected argument: 'tries'; its"):
        RetryParams(tries=3)
    with pytest.raises(TypeError, match=r"Document\(\) is missing policy_hash, targets"):
        Document(1, "")
    with pytest.raises(TypeError, match=r"Ours\(\) got twice: 'a'"):
        Ours(1, 2.0, a=1)


def test_tools_see_the_constructor():
    """help() and editors show fields and defaults, not a catch-all."""
    shown = inspect.signature(BreakerParams)
    assert list(shown.parameters) == list(BreakerParams._fields)
    assert shown.parameters["close_after"].default == 3
    assert inspect.signature(Ours).parameters["a"].default is inspect.Parameter.empty


def test_a_first_guarded_call_does_without_typing():
    """Loading it takes a third of what a cold start may spend here (benchmarks/client_overhead.py)."""
    code = (
        "import sys, flyball\n"
        "assert flyball.target('t', idempotent=True).guard(lambda: 1)() == 1\n"
        "print([m for m in ('typing', 'inspect', 'contextlib', 'warnings', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
