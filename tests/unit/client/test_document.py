"""The document codec: canonical out, total in, lenient for clients, strict for publishers."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from flyball.contract import (
    BOUNDS,
    CHOICES,
    DEFAULT_PARAMS,
    DOCUMENT_BYTES_MAX,
    INTEGER_FIELDS,
    BreakerParams,
    BulkheadParams,
    ContractError,
    Document,
    RetryParams,
    TargetParams,
    ThrottleParams,
    clip_params,
    decode_document,
    document_schema,
    encode_document,
)
from flyball.records import TARGET_NAME_PATTERN

RECORDS = {
    "retry": RetryParams,
    "throttle": ThrottleParams,
    "breaker": BreakerParams,
    "bulkhead": BulkheadParams,
}
EXAMPLE = {
    "schema": 1,
    "revision": 42,
    "generated_at": "2026-11-23T12:00:00Z",
    "policy_hash": "ab12",
    "targets": {"payments-api": {"retry": {"max_attempts": 2, "budget_ratio": 0.1}}},
    "defaults": {},
}


def changed(**changes: object) -> bytes:
    return json.dumps({**EXAMPLE, **changes}).encode()


def retry(**numbers: object) -> bytes:
    return changed(targets={"t": {"retry": numbers}})


def test_the_bounds_name_every_field_of_the_records():
    """A field without bounds would be obeyed as it comes."""
    assert {name: (*fields, *CHOICES.get(name, ())) for name, fields in BOUNDS.items()} == {
        name: record._fields for name, record in RECORDS.items()
    }
    assert clip_params(DEFAULT_PARAMS) == DEFAULT_PARAMS


def test_a_document_says_what_it_says_and_the_rest_is_inherited():
    """From `defaults`, and what that does not say from the compiled-in values."""
    document = decode_document(changed(defaults={"retry": {"base_ms": 70}}))
    assert document.revision == 42
    assert document.targets["payments-api"].retry == RetryParams(max_attempts=2, budget_ratio=0.1, base_ms=70)
    assert document.defaults.retry == RetryParams(base_ms=70)
    assert document.defaults.breaker == BreakerParams()


def test_the_encoding_is_canonical():
    """Equal documents are equal bytes: an unchanged one need not be deployed."""
    one = Document(1, "", "", {"b": DEFAULT_PARAMS, "a": DEFAULT_PARAMS})
    two = Document(1, "", "", {"a": DEFAULT_PARAMS, "b": DEFAULT_PARAMS})
    data = encode_document(one)
    assert data == encode_document(two)
    assert data.startswith(b'{"defaults":{"breaker":{"close_after":3,"failure_ratio":0.9,')
    assert b" " not in data


def value_of(section: str, field: str) -> st.SearchStrategy[object]:
    if field in CHOICES.get(section, ()):
        return st.sampled_from(CHOICES[section][field])
    low, high = BOUNDS[section][field]
    return st.integers(int(low), int(high)) if field in INTEGER_FIELDS else st.floats(low, high)


PARAMS = st.builds(
    TargetParams,
    **{
        section: st.builds(record, **{field: value_of(section, field) for field in record._fields})
        for section, record in RECORDS.items()
    },
)
DOCUMENTS = st.builds(
    Document,
    revision=st.integers(0, 2**53 - 1),
    generated_at=st.text(st.characters(codec="utf-8"), max_size=128),
    policy_hash=st.text(st.characters(codec="utf-8"), max_size=128),
    targets=st.dictionaries(st.from_regex(TARGET_NAME_PATTERN), PARAMS, max_size=4),
    defaults=PARAMS,
)


@given(document=DOCUMENTS)
def test_what_is_encoded_is_decoded_unchanged(document):
    """Controller and client hold the same numbers, to the last bit; and every strict reader agrees (A1)."""
    data = encode_document(document)
    assert decode_document(data) == document
    assert decode_document(data, strict=True) == document


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", ""),
        (b"\xff\xfe", ""),
        (b"null", ""),
        (b"[" * 60_000, ""),
        (b"{" + b'"a":' * 3, ""),
        (b" " * (DOCUMENT_BYTES_MAX + 1), ""),
        (b'{"schema": 1, "schema": 1}', "schema"),
        (b"{}", "schema"),
        (changed(schema=2), "schema"),
        (changed(schema=True), "schema"),
        (changed(schema=1.0), "schema"),
        (changed(revision="42"), "revision"),
        (changed(revision=-1), "revision"),
        (changed(revision=True), "revision"),
        (changed(revision=10**40), "revision"),
        (changed(generated_at=7), "generated_at"),
        (changed(policy_hash="x" * 129), "policy_hash"),
        (changed(targets=[]), "targets"),
        (changed(targets={"": {}}), "targets"),
        (changed(targets={"a\n": {}}), "targets"),
        (changed(targets={"t": 3}), "targets.t"),
        (changed(targets={"t": {"retry": None}}), "targets.t.retry"),
        (changed(defaults=7), "defaults"),
        (retry(max_attempts="3"), "targets.t.retry.max_attempts"),
        (retry(max_attempts=True), "targets.t.retry.max_attempts"),
        (retry(max_attempts=None), "targets.t.retry.max_attempts"),
        (retry(budget_ratio=float("nan")), ""),
        (retry(budget_ratio=float("inf")), ""),
        (
            changed().replace(b'"budget_ratio": 0.1', b'"budget_ratio": 1e999'),
            "targets.payments-api.retry.budget_ratio",
        ),
        (changed().replace(b'"budget_ratio": 0.1', b'"budget_ratio": ' + b"9" * 5_000), ""),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_what_cannot_be_understood_is_refused_and_named(data, field, strict):
    """A3: the client keeps the last good document, and whoever looks knows where the fault is."""
    with pytest.raises(ContractError) as caught:
        decode_document(data, strict=strict)
    assert caught.value.field == field


def test_an_error_shows_value_and_bound():
    """Enough to mend it without reading the code."""
    with pytest.raises(
        ContractError, match=r"targets\.t\.retry\.max_attempts: 9 must be an integer in \[1, 4\]"
    ) as e:
        decode_document(retry(max_attempts=9), strict=True)
    assert (e.value.value, e.value.bound) == (9, "an integer in [1, 4]")


@pytest.mark.parametrize(
    ("came", "obeyed"),
    [(10**40, 4), (-3, 1), (2.9, 2), (1e300, 4)],
)
def test_a_client_clips_and_a_publisher_refuses(came, obeyed):
    """K10, A1: what a client would bend must not be deployed."""
    assert decode_document(retry(max_attempts=came)).targets["t"].retry.max_attempts == obeyed
    with pytest.raises(ContractError):
        decode_document(retry(max_attempts=came), strict=True)


@pytest.mark.parametrize(
    ("data", "field", "hint"),
    [
        (retry(max_attemps=3), "targets.t.retry.max_attemps", "did you mean 'max_attempts'"),
        (changed(targets={"t": {"retries": {}}}), "targets.t.retries", "did you mean 'retry'"),
        (changed(xyzzy=1), "xyzzy", "known are schema, revision"),
    ],
)
def test_an_unknown_key_is_ignored_by_clients_and_refused_by_publishers(data, field, hint):
    """A newer publisher must not blind older clients; a typo must not be deployed."""
    assert isinstance(decode_document(data), Document)
    with pytest.raises(ContractError, match=hint) as caught:
        decode_document(data, strict=True)
    assert caught.value.field == field


@pytest.mark.parametrize("missing", ["revision", "generated_at", "policy_hash", "targets"])
def test_a_missing_key_is_named(missing):
    """There is no default for a revision."""
    content = {key: value for key, value in EXAMPLE.items() if key != missing}
    with pytest.raises(ContractError, match="is missing") as caught:
        decode_document(json.dumps(content).encode())
    assert caught.value.field == missing


@pytest.mark.parametrize(
    "document",
    [
        Document(1, "", "", {"t": DEFAULT_PARAMS._replace(retry=RetryParams(max_attempts=9))}),
        Document(1, "", "", {"t": DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=float("nan")))}),
        Document(1, "", "", {"é": DEFAULT_PARAMS}),
        Document(1, "\ud800", "", {}),
        Document(1, b"x", "", {}),
        Document(1, "", "", {f"target-{i}": DEFAULT_PARAMS for i in range(300)}),
    ],
)
def test_what_a_client_would_bend_or_refuse_is_not_encoded(document):
    """A1: the publisher cannot produce a bad document, nor one that is too large."""
    with pytest.raises(ContractError):
        encode_document(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(
    data=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()), strict=st.booleans()
)
def test_any_bytes_give_a_document_or_a_contract_error(data, strict):
    """A1, A3: total, whatever stands there."""
    with suppress(ContractError):
        assert isinstance(decode_document(data, strict=strict), Document)


@st.composite
def nearly_documents(draw: st.DrawFn) -> dict[str, object]:
    """A valid document's JSON with a few places replaced, removed or added."""
    root = json.loads(encode_document(draw(DOCUMENTS)))
    for _ in range(draw(st.integers(0, 3))):
        place = root
        while True:
            key = draw(st.sampled_from([*sorted(place), "new"]))
            inner = place.get(key)
            if isinstance(inner, dict) and inner and draw(st.booleans()):
                place = inner
                continue
            break
        if draw(st.booleans()):
            place.pop(key, None)
        else:
            place[key] = draw(
                JSON
                | st.integers(-5, 70_000)
                | st.sampled_from([0.5, 1.0, 3, -1])
                | st.just({"retry": {"k": 1}})
            )
        if not root:
            break
    return root


@given(content=nearly_documents())
def test_the_schema_and_the_strict_reader_agree(content):
    """AppConfig validates by schema, publisher and clients by code: none may pass one and fail the other."""
    try:
        data = json.dumps(content, allow_nan=False).encode()
    except ValueError:
        return
    schema = document_schema()
    by_schema = Draft4Validator(schema).is_valid(json.loads(data))
    try:
        decode_document(data, strict=True)
        by_code = True
    except ContractError:
        by_code = False
    assert by_schema == by_code


@pytest.mark.parametrize(("section", "field"), [(s, f) for s, fields in BOUNDS.items() for f in fields])
def test_the_schema_has_the_decoders_bounds(section, field):
    """At either bound both accept, beyond either both refuse."""
    low, high = BOUNDS[section][field]
    validator = Draft4Validator(document_schema())
    for value, good in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
        content = {**EXAMPLE, "targets": {"t": {section: {field: value}}}}
        assert validator.is_valid(content) == good
        if good:
            decode_document(json.dumps(content).encode(), strict=True)
        else:
            with pytest.raises(ContractError):
                decode_document(json.dumps(content).encode(), strict=True)


def test_the_schema_is_draft_4():
    """AppConfig's validators know no other draft, and take at most 32 KB."""
    schema = document_schema()
    Draft4Validator.check_schema(schema)
    assert len(json.dumps(schema)) < 32_000
