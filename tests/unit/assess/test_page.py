"""An assessment as a page: one valid file that loads nothing, and shows all that the text says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape, unescape

import pytest

from browser import BROWSER, probed_dom
from flyball_analytics.assess.assessment import assess
from flyball_analytics.assess.hazards import Kind
from flyball_analytics.assess.page import render
from flyball_analytics.integrations_file import parse_integrations
from flyball_analytics.thresholds.recommend import Advice, Recommendation
from unit.assess.maps import careless
from unit.report.test_page import Page

HOSTILE = """
version: 1
rollback_alarms: ["<i>"]
targets: {a: {criticality: 5, latency_ms: 100, failures: transient, alarms: ["<i>"]}}
functions: {"</script><b>": {calls: {a: {idempotent: true, timeout_s: none}}}, g: {calls: {}}}
"""


def page(text: str = "") -> str:
    known = parse_integrations(text.encode(), where="i.yaml") if text else careless()
    histories = {"payments-api": Recommendation(Advice.MOVE, "fires falsely 9 times", (), None)}
    return render(assess(known, {} if text else histories), source="integrations.yaml").decode()


def test_the_page_is_well_formed_and_every_link_leads_somewhere():
    """A broken id is a step that nobody can follow."""
    found = Page(page().encode())
    assert len(found.ids) == len(set(found.ids))
    assert set(found.refs) <= set(found.ids)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert {"first", "hazards", "integrations", "functions", "questions", "histories"} <= set(found.ids)


def test_nothing_is_loaded_from_anywhere():
    """It is mailed, and opened where there is no network."""
    text = page()
    found = Page(text.encode())
    assert found.loads == []
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text.replace("http-equiv", ""))
    policy = next(a["content"] for tag, a in found.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    for element in ("style", "script"):
        (content,) = found.texts[element] if element == "style" else found.texts[element][-1:]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy


def test_every_hazard_step_reason_and_sum_is_on_the_page():
    """The page is read instead of the text, not beside it."""
    judged, text = assess(careless()), unescape(page())
    assert all(kind.value in text for kind in Kind)
    assert all(step.do in text and step.where in text for step in judged.steps)
    for item in judged.integrations:
        assert all(choice.because in text for choice in item.advice.choices)
        assert all(answer.answer in text for answer in item.checklist)
    assert "$14,600" in text
    assert "outages: $7,300 a month expected" in text
    assert "fires falsely 9 times" in text
    assert "6 high, 6 medium, 1 low hazards. First: payments-api" in text


def test_the_data_in_it_are_those_of_the_json():
    """A tool that is mailed the page need not ask for the map."""
    data = page().split('id="assessment-data">', 1)[1].partition("</script>")[0]
    plain = json.loads(data)
    assert plain["schema"] == 1
    assert [step["severity"] for step in plain["steps"]][:2] == ["high", "high"]


def test_a_name_cannot_become_markup():
    """Names of functions come from an account that others write to."""
    text = page(HOSTILE)
    Page(text.encode())
    assert "<b>" not in text.replace('<b class="', "").split("<summary>")[0]
    assert "<i>" not in text
    assert escape("</script><b>") in text
    assert text.count("</script>") == 2


def test_a_fleet_without_hazards_and_one_without_calls_have_a_page():
    """An empty section is left out, not shown empty."""
    text = page("version: 1\nfunctions: {}")
    assert "Nothing has to be done" in text
    assert 'id="first"' not in text
    assert "No function of the map calls a target." in text
    protect = page(
        HOSTILE.replace('rollback_alarms: ["<i>"]', "").replace(
            "timeout_s: none", "timeout_s: 0.3, layers: {}"
        )
    )
    assert "No hazard that the map proves. First: " in protect


def test_equal_maps_give_equal_pages():
    """A page in a pull request changes only with its map."""
    assert page() == page()


@pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on this machine; the other tests prove what a parser can"
)
@pytest.mark.parametrize("width", [390, 1400])
def test_a_browser_without_network_runs_the_page(tmp_path, width):
    """Its script and style pass its own policy, an unknown script does not; nothing sticks out."""
    probe = (
        "document.body.dataset.ink=getComputedStyle(document.body).fontSize;"
        "document.body.dataset.wide=document.documentElement.scrollWidth<=innerWidth;"
        "const f=document.getElementById('find');f.value='weather';f.dispatchEvent(new Event('input'));"
        "document.body.dataset.left=document.getElementById('found').textContent"
    )
    dom = probed_dom(page(), probe, folder=tmp_path, width=width)
    assert 'data-ink="15px"' in dom, "the style of the page was not applied"
    assert 'data-wide="true"' in dom, "the page is wider than the window"
    assert 'data-left="3 of 22 shown"' in dom, "the script of the page did not run"
    assert "data-evil" not in dom, "the policy let an unknown script run"
