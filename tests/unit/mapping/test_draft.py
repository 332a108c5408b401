"""The draft of a map: what source and AWS showed, joined, and what nobody could know."""

from __future__ import annotations

import yaml

from flyball_analytics.integrations_file import parse_integrations
from flyball_analytics.mapping.draft import draft_of, draft_text, validated
from flyball_analytics.mapping.found import FoundFunction
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
    draft = draft_of(aws, {"f": [CALL._replace(unclear=("x",))], "h": [], "true": []}, ["b.py: broken"])
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
        "# - h: AWS has no function of this name",
        "# - h: no call was found in its source",
        "# - not asked: AWS X-Ray",
    ):
        assert said in text
    assert "# not known: criticality, owner" in text


def test_an_empty_draft_is_a_map_too():
    """An account without functions."""
    assert validated(draft_of([], {})).functions == {}
