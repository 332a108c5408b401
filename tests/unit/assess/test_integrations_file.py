"""What integrations.yaml may hold, and what is said of a file that cannot be used."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from flyball_analytics.integrations_file import (
    FILE_BYTES_MAX,
    IntegrationsError,
    integrations_schema,
    parse_integrations,
)
from unit.assess.maps import CARELESS, careless

WRONG = b"""version: 1
targets:
  pay:
    kind: thirdparty
    latency: 3
    error_ratio: 2
    transient_codes: [503, []]
functions:
  checkout:
    timeout_s: 0
    calls:
      pay: {timeout_s: never, layers: {a: 0}, jiter: true}
"""


def problems(data: bytes) -> tuple[str, ...]:
    with pytest.raises(IntegrationsError) as caught:
        parse_integrations(data, where="i.yaml")
    return caught.value.problems


def test_every_problem_is_told_at_once_with_its_line():
    """Sixty functions are mended in one go, not in sixty runs."""
    told = problems(WRONG)
    assert [text.split(":")[1] for text in told] == ["4", "5", "6", "7", "10", "12", "12", "12"]
    assert told[1] == "i.yaml:5: unknown key 'latency'; did you mean 'latency_ms'?"
    assert "targets.pay.error_ratio=2 should be less than or equal to 1; Share of first" in told[2]
    assert any("unknown key 'jiter'; did you mean 'jitter'?" in text for text in told)


def test_a_field_with_several_forms_is_told_once_with_all_of_them():
    """`timeout_s` is a number or the word none: two errors of the validator are one mistake of the user."""
    told = [text for text in problems(WRONG) if "timeout_s='never'" in text]
    assert len(told) == 1
    assert "should be a valid number, or be 'none'; Time-out of one attempt" in told[0]


def test_a_misspelt_top_level_key_is_guessed():
    """The commonest mistake of all."""
    told = problems(b"version: 1\nfunctons: {}")
    assert told == (
        "i.yaml:1: functions is missing; Functions by name.",
        "i.yaml:2: unknown key 'functons'; did you mean 'functions'?",
    )


def test_a_call_of_an_unlisted_target_is_an_error_with_a_guess():
    """A typing error in a name would silently be another dependency."""
    data = b"version: 1\ntargets: {payments: {}}\nfunctions:\n  f:\n    calls:\n      payment: {}\n"
    assert problems(data) == (
        "i.yaml:6: f calls 'payment', which is not under targets: add it there; did you mean 'payments'?",
    )


def test_names_that_the_fleet_could_not_use_are_errors():
    """A target's name is a metric dimension and a key; a function's is Lambda's."""
    told = problems(b'version: 1\ntargets: {"a b": {}}\nfunctions: {"": {}}\n')
    assert "the target 'a b' must be" in told[0]
    assert "the function '' must have 1 to 140" in told[1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: [", "is not YAML"),
        (b"\xff", "is not YAML"),
        (b"- 1", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"version: 1\nfunctions: {}\nversion: 1", "i.yaml:3: version stands twice (first on line 1)"),
        (b"x" * (FILE_BYTES_MAX + 1), "a map has at most"),
        (b"version: 2\nfunctions: {}", "version=2"),
    ],
)
def test_what_is_no_map_is_refused_in_one_sentence(data, said):
    """No traceback for a user's file."""
    assert said in problems(data)[0]


def test_more_problems_than_a_screen_are_counted():
    """The first twenty are read; the rest is a number."""
    data = b"version: 1\nfunctions:\n" + b"".join(b"  f%d: {x: 1}\n" % i for i in range(25))
    with pytest.raises(IntegrationsError, match="and 5 more"):
        parse_integrations(data, where="i.yaml")


def test_the_schema_accepts_what_the_reader_accepts_and_refuses_what_it_refuses():
    """An editor must not say yes where the command says no."""
    schema = integrations_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert careless().functions["format"].calls == {}
    assert not list(validator.iter_errors(yaml.safe_load(CARELESS)))
    assert len(list(validator.iter_errors(yaml.safe_load(WRONG)))) >= 5
    assert json.dumps(schema)


@pytest.mark.parametrize("text", [b"version: 1\nfunctions: &a [*a]", b"version: 1\nfunctions: &a {b: *a}"])
def test_a_file_that_contains_itself_is_told_as_any_wrong_one(text):
    """YAML allows it; walking it for its lines must end."""
    with pytest.raises(IntegrationsError, match=r"i\.yaml:2: "):
        parse_integrations(text, where="i.yaml")
