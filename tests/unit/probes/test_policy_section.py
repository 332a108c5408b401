"""The section `probes`: what it may say, and how it refuses what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball_controller.core.errors import PolicyError
from flyball_controller.operate import policy_changes
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import PolicySet, compile_set, load_compiled
from flyball_controller.probes import (
    PROBES_MAX,
    Check,
    Kind,
    check_from_fields,
    check_to_fields,
    checks_from_section,
)

FILE = b"""\
version: 1
preset: two-loop
probes:
  payments-api:
    kind: http
    url: https://payments.internal:8443/health?deep=1
    critical: true
    expect_status: [200, 300-399]
    body_contains: ok
    headers: {Authorization: "env:PROBE_PAYMENTS", X-Team: shop}
  database: {kind: tcp, host: db.internal, port: 5432, every_s: 30, timeout_s: 1}
  mailer: {kind: lambda, function: "mailer:live"}
  stock: {kind: lambda, function: stock, payload: {ping: true}, evidence: false}
  ledger: {kind: dynamodb, table: ledger, key: {id: {S: health}}}
  orders: {kind: dynamodb, table: orders, every_s: 600}
  search: {kind: call, callable: "acme.health:search"}
"""


def parsed(entry: str) -> PolicySet:
    """The policy of a file whose section holds one entry, on line 3."""
    return parse_policy(f"version: 1\nprobes:\n  shop: {entry}\n".encode(), where="fleet.yaml")


def test_every_kind_is_read_with_its_defaults() -> None:
    """Critical targets every minute, others every five, as the policy says."""
    probes = parse_policy(FILE, where="fleet.yaml").probes
    assert probes["payments-api"] == Check(
        "payments-api", Kind.HTTP, 60, 3.0, True,
        url="https://payments.internal:8443/health?deep=1",
        expect_status=((200, 200), (300, 399)),
        body_contains="ok",
        headers=(("Authorization", "env:PROBE_PAYMENTS"), ("X-Team", "shop")),
    )  # fmt: skip
    assert (probes["database"].every_s, probes["database"].timeout_s, probes["database"].port) == (
        30,
        1.0,
        5432,
    )
    assert (probes["mailer"].function, probes["mailer"].payload, probes["mailer"].every_s) == (
        "mailer:live",
        "",
        300,
    )
    assert (probes["stock"].payload, probes["stock"].evidence) == ('{"ping": true}', False)
    assert probes["ledger"].key == '{"id": {"S": "health"}}'
    assert (probes["orders"].key, probes["orders"].every_s) == ("", 600)
    assert probes["search"].callable == "acme.health:search"


def test_checks_survive_compiling_and_are_part_of_the_policy_s_identity() -> None:
    """Lambda reads the compiled form, and a changed check is a changed policy."""
    policies = parse_policy(FILE, where="fleet.yaml")
    assert load_compiled(compile_set(policies), where="x").probes == policies.probes
    without = policies._replace(probes={})
    assert load_compiled(compile_set(policies), where="x").hash == policies.hash != without.hash
    assert b"probes" not in compile_set(without)


@given(st.sampled_from(list(Kind)), st.data())
def test_every_check_is_made_again_from_its_own_fields(kind: Kind, data: st.DataObject) -> None:
    """The compiled form may leave nothing out."""
    fields: dict[str, object] = {
        "kind": kind.value,
        "every_s": data.draw(st.sampled_from([30, 60, 300, 3_600])),
        "timeout_s": data.draw(st.floats(0.1, 10.0)),
        "evidence": data.draw(st.booleans()),
    }
    fields |= {
        Kind.HTTP: {
            "url": "https://a/b",
            "method": data.draw(st.sampled_from(["GET", "HEAD"])),
            "expect_status": data.draw(st.lists(st.integers(100, 599), min_size=1, max_size=5)),
            "body_contains": data.draw(st.text(max_size=20)),
        },
        Kind.TCP: {"host": "a", "port": data.draw(st.integers(1, 65_535))},
        Kind.LAMBDA: {
            "function": "f",
            "payload": data.draw(st.dictionaries(st.text(max_size=5), st.integers())),
        },
        Kind.DYNAMODB: {"table": "table", "key": {"id": {"S": data.draw(st.text(max_size=9))}}},
        Kind.CALL: {"callable": "a.b:c"},
    }[kind]
    check = check_from_fields("t", fields, at=str)
    assert check_from_fields("t", check_to_fields(check), at=str) == check


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{kind: htp, url: 'http://a/'}", "kind='htp' must be one of http, tcp, lambda, dynamodb, call"),
        ("{url: 'http://a/'}", "kind=None must be one of"),
        ("{kind: http, ulr: 'http://a/'}", "unknown key 'ulr'; did you mean 'url'?"),
        ("{kind: tcp, table: a}", "unknown key 'table'; kind tcp knows kind, every_s, critical"),
        ("{kind: tcp, host: a}", "a check of kind tcp needs 'port'"),
        ("[http]", "probes.shop must be a mapping that begins with 'kind: http'"),
        ("{kind: tcp, host: a, port: 0}", "port=0 must be a whole number from 1 to 65535"),
        (f"{{kind: tcp, host: a, port: {10**400}}}", "must be a whole number from 1 to 65535"),
        ("{kind: tcp, host: a, port: true}", "port=True must be a whole number"),
        ("{kind: tcp, host: 'a b', port: 1}", "host='a b' must be a host name or address"),
        ("{kind: tcp, host: a, port: 1, every_s: 45}", "every_s=45 must be 30 or whole minutes"),
        ("{kind: tcp, host: a, port: 1, every_s: 10}", "every_s=10 must be a whole number from 30 to 3600"),
        ("{kind: tcp, host: a, port: 1, critical: true, every_s: 300}", "30 or 60 for a critical target"),
        ("{kind: tcp, host: a, port: 1, critical: 1}", "critical=1 must be true or false"),
        ("{kind: tcp, host: a, port: 1, timeout_s: 60}", "timeout_s=60 must be a number from 0.1 to 10"),
        ("{kind: tcp, host: a, port: 1, timeout_s: .nan}", "timeout_s=nan must be a number"),
        ("{kind: http, url: 'ftp://a/'}", "url='ftp://a/' must be http://HOST/... or https://HOST/..."),
        ("{kind: http, url: 'http:///x'}", "must be http://HOST/..."),
        ("{kind: http, url: 'http://a:99999/'}", "url cannot be read"),
        ('{kind: http, url: "http://a/x y"}', "printable characters without blanks"),
        ('{kind: http, url: "http://a/\\r\\nX: y"}', "printable characters without blanks"),
        ("{kind: http, url: 'https://u:p@a/'}", "url holds a user or password"),
        (
            "{kind: http, url: 'http://a/', method: DELETE}",
            "method='DELETE' must be one of GET, HEAD, OPTIONS",
        ),
        ("{kind: http, url: 'http://a/', expect_status: [999]}", "must be status codes or ranges"),
        ("{kind: http, url: 'http://a/', expect_status: [299-200]}", "must be status codes or ranges"),
        ("{kind: http, url: 'http://a/', expect_status: []}", "must be 1 to 20 status codes"),
        ("{kind: http, url: 'https://a/', headers: {Authorization: Bearer x}}", "carries a secret"),
        (
            "{kind: http, url: 'https://a/', headers: {X-Token: 'env:AWS_SECRET_ACCESS_KEY'}}",
            "named env:PROBE_",
        ),
        ("{kind: http, url: 'http://a/', headers: {X-Token: 'env:PROBE_X'}}", "unencrypted; use https"),
        ("{kind: http, url: 'https://a/', headers: {Host: b}}", "is set by the probe itself"),
        ("{kind: http, url: 'https://a/', headers: {X-A: \"b\\r\\nX-B: c\"}}", "printable ASCII value"),
        ("{kind: http, url: 'https://a/', headers: [X-A]}", "headers=a header must be at most 20 names"),
        ("{kind: lambda, function: 'a b'}", "function='a b' must be a function's name or ARN"),
        ("{kind: lambda, function: f, payload: .inf}", "payload cannot be written as JSON"),
        ("{kind: dynamodb, table: t}", "table='t' must be a table's name"),
        ("{kind: dynamodb, table: tab, key: {id: health}}", "must be a key in DynamoDB's form"),
        ("{kind: call, callable: os.system}", "callable='os.system' must be package.module:function"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_with_place_value_and_bound(entry: str, words: str) -> None:
    """A check that is silently not made looks like a target that is silently well."""
    with pytest.raises(PolicyError) as refused:
        parsed(entry)
    assert str(refused.value).startswith("fleet.yaml:3: ")
    assert words in str(refused.value)


def test_a_secret_in_a_header_is_not_repeated_in_the_refusal() -> None:
    """Refusals end in logs of a pipeline."""
    with pytest.raises(PolicyError) as refused:
        parsed("{kind: http, url: 'https://a/', headers: {Cookie: hunter2}}")
    assert "hunter2" not in str(refused.value)
    with pytest.raises(PolicyError) as refused:
        parsed("{kind: http, url: 'https://u:hunter2@a/'}")
    assert "hunter2" not in str(refused.value)


def test_a_payload_too_large_names_its_size() -> None:
    """A policy is no place for data."""
    with pytest.raises(PolicyError, match="payload has 2502 characters of JSON; at most 2048"):
        check_from_fields("t", {"kind": "lambda", "function": "f", "payload": "x" * 2_500}, at=str)


def test_a_section_has_at_most_as_many_checks_as_one_function_can_make() -> None:
    """More need a second installation, or code of their own."""
    many = {f"t{n}": {"kind": "tcp", "host": "a", "port": 1} for n in range(PROBES_MAX + 1)}
    with pytest.raises(PolicyError, match="at most 500 targets"):
        checks_from_section(many, at=lambda target, field: "x")
    with pytest.raises(PolicyError, match="at most 500 targets"):
        checks_from_section([], at=lambda target, field: "x")
    with pytest.raises(PolicyError, match="the target"):
        checks_from_section({"bad name": {"kind": "tcp", "host": "a", "port": 1}}, at=lambda *path: "x")


def test_a_compiled_section_that_was_edited_by_hand_is_refused_by_name() -> None:
    """The compiled form is data that travels, too."""
    data = compile_set(parse_policy(FILE, where="x")).replace(b'"kind":"tcp"', b'"kind":"udp"')
    with pytest.raises(PolicyError, match=r"store: probes\.database\.kind: kind='udp' must be one of"):
        load_compiled(data, where="store")


def test_a_plan_shows_checks_that_come_change_and_go() -> None:
    """What operators apply they must have seen."""
    before = parsed("{kind: tcp, host: a, port: 1}")
    after = parsed("{kind: tcp, host: a, port: 2}")
    plain = after._replace(probes={})

    def shown(old: PolicySet, new: PolicySet) -> list[tuple[str, object, object]]:
        return [(c.target, f.before, f.after) for c in policy_changes(old, new) for f in c.changes]

    one = '{"every_s":300,"host":"a","kind":"tcp","port":1}'
    two = one.replace('"port":1', '"port":2')
    assert shown(before, after) == [("shop", one, two)]
    assert shown(plain, before) == [("shop", None, one)]
    assert shown(before, plain) == [("shop", one, None)]
    assert shown(before, before) == []
