"""One rule for names of targets: what one part accepts, all accept; what is refused, is refused at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from flyball.circuit_item import decode_circuit, encode_circuit
from flyball.contract import DEFAULT_PARAMS, CircuitState, Document, decode_document, encode_document
from flyball.document_schema import document_schema
from flyball.environment import Runtime
from flyball.errors import ContractError, SettingsError
from flyball.guard import target
from flyball.names import is_target_name, name_problem
from flyball.records import TARGET_NAME_PATTERN
from flyball_controller.core.errors import PolicyError
from flyball_controller.overrides import InvalidOverrideError, read_override
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import load_compiled
from flyball_handlers.origins import ALARM_TARGETS, Origins
from unit.client.support import circuit

SCHEMA = Draft4Validator(document_schema())
ANY_NAME = (
    st.text(max_size=140)
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=140)
    | st.from_regex(TARGET_NAME_PATTERN)
)


def accepts(run, *refusals: type[Exception]) -> bool:
    try:
        run()
    except refusals:
        return False
    return True


def opinions(name: str) -> dict[str, bool]:
    """What every part that takes a name from outside says of it."""
    plain = {"schema": 1, "revision": 1, "generated_at": "", "policy_hash": "", "targets": {name: {}}}
    data = json.dumps(plain).encode()
    yaml = f"version: 1\ntargets:\n  {json.dumps(name)}: {{}}\n"
    compiled = json.dumps({"compiled": 1, "default": {}, "targets": {name: {}}}).encode()
    hold = {"action": "open", "target": name, "for_s": 60, "by": "ops", "why": "drill"}
    return {
        "client": accepts(lambda: target(name, within=Runtime()), SettingsError),
        "reader": accepts(lambda: decode_document(data), ContractError),
        "strict reader": accepts(lambda: decode_document(data, strict=True), ContractError),
        "schema": SCHEMA.is_valid(plain),
        "publisher": accepts(
            lambda: encode_document(Document(1, "", "", {name: DEFAULT_PARAMS})), ContractError
        ),
        "policy file": accepts(lambda: parse_policy(yaml.encode(), where="p.yaml"), PolicyError),
        "compiled policy": accepts(lambda: load_compiled(compiled, where="p.json"), PolicyError),
        "alarm map": accepts(
            lambda: Origins.from_env({ALARM_TARGETS: json.dumps({"alarm": name})}), SettingsError
        ),
        "override": accepts(lambda: read_override(hold, now_s=0.0, known=frozenset()), InvalidOverrideError),
    }


@settings(max_examples=50)
@given(name=ANY_NAME)
@example(name="*")
@example(name="")
@example(name="a\n")
@example(name="payments api")
@example(name="ü")
@example(name=":a")
@example(name="a" * 128)
@example(name="a" * 129)
@example(name="arn:aws:dynamodb:eu-west-1:123456789012:table/orders#reads@v1.2+x_y-z")
def test_every_part_is_of_one_opinion(name):
    """A target that the client declares can be tuned, held, alarmed on and published."""
    said = opinions(name)
    assert set(said.values()) == {is_target_name(name)}, said
    assert bool(name_problem(name)) != is_target_name(name)


@given(name=st.from_regex(TARGET_NAME_PATTERN))
def test_a_name_survives_the_circuit_item(name):
    """As a key it is never cut or changed."""
    item = circuit(CircuitState.OPEN, target=name)
    assert decode_circuit(encode_circuit(item)) == item


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("payments api", "character 9 is ' '"),
        ("café", "character 4 is 'é'"),
        ("a\n", "character 2 is '\\n'"),
        ("-a", "it begins with '-'"),
        ("*", "character 1 is '*'"),
        ("a" * 129, "it has 129"),
        ("", "it has 0"),
        (None, "it is no text"),
    ],
)
def test_an_error_says_which_character(name, what):
    """Some of them cannot be seen."""
    assert name_problem(name).endswith(f"; {what}")
    with pytest.raises(SettingsError) as caught:
        target(name, within=Runtime())
    assert what in str(caught.value)
    assert caught.value.field == "name"
