"""Policies: what operators write, what they are told when it is wrong, what Lambda reads."""

from __future__ import annotations

import math

import pytest

from flyball_controller.core.errors import PolicyError
from flyball_controller.core.model import Mode
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.policy_file import RANGES, load_policy, parse_policy
from flyball_controller.policy_set import PRESETS, compile_set, load_compiled, load_preset


def parse(text: str):
    """The policies in a text."""
    return parse_policy(text.encode(), where="p.yaml")


def refused(text: str) -> PolicyError:
    """The error for a text that must be refused."""
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return caught.value


def test_a_file_starts_from_a_preset_and_changes_targets():
    """Defaults, then exceptions by target."""
    policies = parse("version: 1\npreset: fixed\nmode: shadow\ntargets:\n  pay:\n    open_floor: 0.4\n")
    assert policies.default.law == Law.LADDER
    assert policies.default.mode == Mode.SHADOW
    assert policies.for_target("pay").open_floor == 0.4
    assert policies.for_target("pay").retry_floor == 0.2
    assert policies.for_target("other") == policies.default


def test_mode_off_is_the_word_although_yaml_reads_false():
    """YAML 1.1 makes `off` a boolean; the operator meant the mode."""
    assert parse("version: 1\nmode: off\n").default.mode == Mode.OFF
    assert parse("version: 1\ndefaults:\n  mode: off\n").default.mode == Mode.OFF


def test_an_unknown_key_is_an_error_with_line_and_guess():
    """A typing error must not become a silent default."""
    error = refused("version: 1\ndefaults:\n  retry_flor: 0.1\n")
    assert str(error).startswith("p.yaml:3: unknown key 'retry_flor'; did you mean 'retry_floor'?")
    assert error.field == "retry_flor"


def test_an_unknown_section_is_an_error_with_line_and_guess():
    """The same at the top."""
    assert "p.yaml:2: unknown key 'default'; did you mean 'defaults'?" in str(
        refused("version: 1\ndefault: {}\n")
    )


def test_a_value_out_of_range_names_value_and_bounds():
    """So that it can be mended without the manual."""
    error = refused("version: 1\ntargets:\n  pay:\n    open_floor: 1.5\n")
    assert str(error) == "p.yaml:4: open_floor=1.5 must be a number from 0.05 to 1; default 0.6"


@pytest.mark.parametrize("value", ["'0.1'", "true", "[]", ".nan", ".inf", "null"])
def test_a_value_of_the_wrong_kind_is_refused(value):
    """Text, truth, lists and NaN are no ratios; nothing is guessed."""
    assert refused(f"version: 1\ndefaults:\n  retry_floor: {value}\n").field == "retry_floor"


def test_contradictions_between_fields_are_refused():
    """A retry threshold above the opening one would cut traffic before touching retries."""
    error = refused("version: 1\ndefaults:\n  retry_floor: 0.7\n  open_floor: 0.6\n")
    assert "p.yaml:3: retry_floor must not exceed open_floor" in str(error)


def test_a_key_that_stands_twice_is_refused():
    """YAML would silently take the last."""
    error = refused("version: 1\ndefaults:\n  close_after: 2\n  close_after: 3\n")
    assert "p.yaml:4: defaults.close_after stands twice (first on line 3)" in str(error)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "must be a mapping"),
        ("- 1\n", "must be a mapping"),
        ("version: 2\n", "version=2 must be 1"),
        ("preset: two-loop\n", "version=None must be 1"),
        ("version: 1\npreset: two-lop\n", "did you mean 'two-loop'?"),
        ("version: 1\nmode: on\n", "must be active, shadow or off"),
        ("version: 1\ntargets: []\n", "targets must map names"),
        ("version: 1\ntargets:\n  a: 3\n", "must be a mapping of settings"),
        ("version: [\n", "is not YAML"),
        ("version: 1\ndefaults: {law: pid}\n", "law='pid'"),
        ("a: &a [*a]\n", "unknown key 'a'"),
        ("version: 1\ndefaults: &a {b: *a}\n", "unknown key 'b'"),
        ("\x00", "is not YAML"),
    ],
)
def test_other_wrong_files_get_a_clear_error(text, part):
    """Never a traceback."""
    assert part in str(refused(text))


def test_bytes_that_are_no_text_and_files_too_large_are_refused():
    """Before anything parses them."""
    with pytest.raises(PolicyError, match="is not YAML"):
        parse_policy(b"\xff\xfe\xfa", where="p.yaml")
    with pytest.raises(PolicyError, match="at most"):
        parse_policy(b"#" * 1_000_001, where="p.yaml")


def test_a_missing_file_names_the_presets(tmp_path):
    """The most common mistake is a misspelt preset."""
    with pytest.raises(PolicyError, match="did you mean 'ladder'"):
        load_policy("lader")
    file = tmp_path / "p.yaml"
    file.write_text("version: 1\n")
    assert load_policy(str(file)).default == load_preset("two-loop").default


@pytest.mark.parametrize("name", PRESETS)
def test_compiled_presets_equal_their_yaml(name):
    """Lambda reads the JSON: run tools/compile_presets.py after editing a preset."""
    from importlib import resources

    folder = resources.files("flyball_controller").joinpath("presets")
    written = parse_policy(folder.joinpath(f"{name}.yaml").read_bytes(), where=f"{name}.yaml")
    assert folder.joinpath(f"{name}.json").read_bytes() == compile_set(written) + b"\n"
    assert load_preset(name).default == written.default


def test_compiling_loses_nothing(tmp_path):
    """Whatever the operator wrote is what the controller obeys."""
    policies = parse(
        "version: 1\npreset: adaptive\nmode: shadow\ntargets:\n  pay: {mode: active, close_after: 9}\n"
    )
    file = tmp_path / "c.json"
    file.write_bytes(compile_set(policies))
    again = load_policy(str(file))
    assert again.default == policies.default
    assert again.targets == policies.targets
    assert again.hash == policies.hash


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is no compiled policy"),
        (b'{"compiled":1,"default":{"law":"pid"},"targets":{}}', "law='pid' must be one of ladder, two_loop"),
        (b'{"compiled":1,"default":{"open_flor":1},"targets":{}}', "did you mean 'open_floor'"),
        (b'{"compiled":1,"default":{"min_errors":2.5},"targets":{}}', "must be a whole number"),
        (b'{"compiled":1,"default":{"retry_adaptive":1},"targets":{}}', "must be true or false"),
        (b'{"compiled":1,"default":{"open_floor":"x"},"targets":{}}', "must be a number"),
        (b'{"compiled":1,"default":{},"targets":{"a":3}}', "targets.a must be an object"),
        (b'{"compiled":1,"default":[],"targets":{}}', "must be objects"),
        (
            b'{"compiled":1,"default":{"retry_floor":0.7},"targets":{}}',
            "c.json: default: retry_floor must not exceed open_floor",
        ),
        (
            b'{"compiled":1,"default":{},"targets":{"a":{"attempts_min":4,"attempts_nominal":2}}}',
            "c.json: targets.a: attempts_min must not exceed attempts_nominal",
        ),
    ],
)
def test_compiled_text_edited_by_hand_gets_the_same_kind_of_error(data, part):
    """Not a silent default."""
    with pytest.raises(PolicyError, match=r"c\.json") as caught:
        load_compiled(data, where="c.json")
    assert part in str(caught.value)


def test_a_promise_is_a_word_and_its_rate_a_number():
    """Nothing at all (`promise:`) must not be read as the word none."""
    policies = parse("version: 1\ndefaults: {promise: independent, false_opens_per_year: 0.1}\n")
    assert policies.default.promise == Promise.INDEPENDENT
    assert policies.default.false_opens_per_year == 0.1
    assert load_compiled(compile_set(policies), where="again").default == policies.default
    error = refused("version: 1\ndefaults:\n  promise:\n")
    assert str(error).startswith("p.yaml:3: promise=None: ")
    assert "'none', 'any' or 'independent'" in str(error)
    error = refused("version: 1\ndefaults:\n  false_opens_per_year: 0\n")
    assert "p.yaml:3: false_opens_per_year=0 must be a number from 0.01 to 1000; default 1.0" in str(error)


def test_what_is_normal_cannot_be_a_reason_to_open():
    """Over the open threshold the promise would forbid every open."""
    error = refused("version: 1\ndefaults:\n  normal_floor: 0.7\n")
    assert "p.yaml:3: normal_floor must not exceed open_floor" in str(error)


def test_the_literal_rules_promise_nothing_and_the_others_do():
    """The preset `ladder` is what most teams know, raw ratios and all."""
    kinds = {name: load_policy(name).default.promise for name in PRESETS}
    assert kinds == {
        "two-loop": Promise.ANY,
        "adaptive": Promise.ANY,
        "fixed": Promise.ANY,
        "ladder": Promise.NONE,
    }


def test_every_number_of_a_policy_has_a_range_and_its_default_lies_inside():
    """A field without a range could be set to anything."""
    numbers = {
        k: v
        for k, v in Policy()._asdict().items()
        if not isinstance(v, bool | str) and k not in ("mode", "law", "promise")
    }
    assert set(RANGES) == set(numbers)
    for field, value in numbers.items():
        low, high = RANGES[field]
        assert low <= value <= high
        assert math.isfinite(low + high)
