"""The draft of a map: what source and AWS showed, joined, and what nobody could know."""

from __future__ import annotations

import yaml

from flyball_analytics.integrations_file import parse_integrations
from flyball_analytics.mapping.draft import draft_of, draft_text, validated
from flyball_analytics.mapping.found import FoundFunction, FoundSource
from flyball_analytics.mapping.sourcescan import Seen

CALL = Seen("api", "api", "a.py:1", 2.0, {"botocore": 5}, True, ())


def calls(*seen: Seen) -> dict:
    return draft_of([], {"f": seen}).plain["functions"]["f"]["calls"]["api"]


def test_of_several_calls_of_one_target_the_worse_counts():
    """One call without a time-out is enough to hang."""
    worse = CALL._replace(timeout_s="none", layers={"botocore": 3, "tenacity": "unlimited"}, idempotent=None)
    joined = calls(CALL, worse)
    assert joined["timeout_s"] == "none"
    assert joined["layers"] == {"botocore": 5, "tenacity": "unlimited"}
    assert "idempotent" not in joined
    assert calls(CALL, CALL._replace(timeout_s=4.0))["timeout_s"] == 4.0
    assert calls(worse, CALL._replace(layers={"tenacity": 2}))["layers"]["tenacity"] == "unlimited"


def test_what_one_call_does_not_show_is_not_known_of_all():
    """A guess would be read as a fact."""
    joined = calls(CALL, CALL._replace(timeout_s=None, layers=None))
    assert "timeout_s" not in joined
    assert "layers" not in joined
    assert joined["idempotent"] is True


def test_the_draft_can_be_read_and_names_what_is_missing():
    """It is the beginning of the user's file, not a report."""
    aws = [FoundFunction("f", {"timeout_s": 3}, ("trigger: AccessDenied",)), FoundFunction("g", {})]
    calls_ = {"f": [CALL._replace(unclear=("x",))], "h": [], "true": []}
    draft = draft_of(aws, calls_, ["b.py: broken"], not_asked=["CloudWatch alarms"])
    text = draft_text(draft)
    known = validated(draft)
    assert known == parse_integrations(text.encode(), where="draft")
    assert known.functions["f"].timeout_s == 3
    assert known.functions["f"].calls["api"].seen_in == ["a.py:1"]
    assert known.functions["g"].calls is None
    assert list(yaml.safe_load(text)["functions"]) == ["f", "g", "h", "true"]
    for said in (
        "# - source: b.py: broken",
        "# - f: trigger: AccessDenied",
        "# - f -> api, a.py:1: x",
        "# - g: which targets it calls",
        "# - not asked: CloudWatch alarms",
        "# - AWS has no function of this name (h, true)",
        "# - no call was found in its source; if it is pure, write calls: {} (h, true)",
        "# - not asked: calls by other libraries",
    ):
        assert said in text
    assert "# not known: criticality, owner" in text


def test_an_empty_draft_is_a_map_too():
    """An account without functions."""
    assert validated(draft_of([], {})).functions == {}


def test_sources_fill_what_is_missing_and_the_first_is_believed():
    """What the code says of a call stands; of two measurements the better source's counts, and is named."""
    clients = FoundSource(
        "clients", {("f", "api"): {"calls_per_request": 2.0}}, {"api": {"error_ratio": 0.01}}, ("clients: x",)
    )
    traces = FoundSource(
        "X-Ray",
        {("f", "api"): {"calls_per_request": 9.0}, ("g", "dynamodb"): {}},
        {"api": {"kind": "other", "error_ratio": 0.5, "latency_ms": 80.0}, "dynamodb": {"kind": "database"}},
    )
    monitors = FoundSource("monitors", {}, {}, (), ("shop",))
    draft = draft_of([FoundFunction("g", {})], {"f": [CALL]}, sources=[clients, traces, monitors])
    known = validated(draft)
    assert known.targets["api"].kind == "api"
    assert (known.targets["api"].error_ratio, known.targets["api"].latency_ms) == (0.01, 80.0)
    assert known.functions["f"].calls["api"].calls_per_request == 2.0
    assert known.functions["f"].calls["api"].timeout_s == 2.0
    assert known.functions["g"].calls["dynamodb"].layers is None
    assert known.rollback_alarms == ["shop"]
    text = draft_text(draft)
    assert "    error_ratio: 0.01  # clients\n" in text
    assert "    latency_ms: 80.0  # X-Ray\n" in text
    assert "# - g -> dynamodb: time-out and retries: only X-Ray shows this call" in text
    assert "# - clients: x" in text
    assert "which targets it calls" not in text
