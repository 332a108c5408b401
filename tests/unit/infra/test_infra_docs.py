"""What is written about the installation is what is installed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from flyball.circuit_item import decode_circuit
from flyball.records import CircuitState, is_kill_switch
from flyball.telemetry import COUNT_METRICS
from flyball_controller.aws.metric_map import client_metrics
from flyball_controller.overrides import read_override
from flyball_local.template.expand import read_template
from integration.infra_world import ROOT, TEMPLATE
from tool_modules import tool_module

infra_docs = tool_module("infra_docs")

HOW_TO, REFERENCE = ROOT / "docs" / "how-to", ROOT / "docs" / "reference"
RUNBOOK = (HOW_TO / "runbook.md").read_text()
COST = (REFERENCE / "cost.md").read_text()
DEPLOY = (HOW_TO / "deploy.md").read_text()


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """The template as written."""
    return read_template(TEMPLATE)


def test_the_iam_reference_is_the_template_s(template):
    """After a change of roles: python tools/infra_docs.py."""
    assert infra_docs.page(template) == infra_docs.PAGE.read_text(), (
        "run: .venv/bin/python tools/infra_docs.py"
    )


def test_the_generated_schema_stands_where_the_tool_would_put_it():
    """The tool must find its place again."""
    text = TEMPLATE.read_text()
    assert infra_docs.with_schema(text) == text


def test_a_wildcard_without_a_reason_stops_the_tool():
    """Else it would be printed as if it were meant."""
    with pytest.raises(SystemExit, match="narrow it, or say in WIDE"):
        list(infra_docs._statements({"Statement": [{"Action": "s3:GetObject", "Resource": "*"}]}, ""))
    with pytest.raises(SystemExit, match="name the actions"):
        list(infra_docs._statements({"Statement": [{"Action": "s3:*", "Resource": "a"}]}, ""))


def test_a_role_that_nobody_explained_stops_the_tool(template):
    """Whoever reads the page wants to know whose it is."""
    roles = {"Type": "AWS::IAM::Role", "Properties": {"Policies": []}}
    with pytest.raises(SystemExit, match="NewRole"):
        infra_docs.roles({"Resources": {**template["Resources"], "NewRole": roles}})


def test_the_runbook_knows_every_alarm(template):
    """An alarm without an entry is a call in the night without an answer."""
    names = {
        r["Properties"]["AlarmName"]["Fn::Sub"].replace("${Prefix}", "P")
        for r in template["Resources"].values()
        if r["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert names == set(re.findall(r"^\| `(P-[a-z-]+)`", RUNBOOK, re.MULTILINE))


def test_the_kill_switch_of_the_runbook_is_one():
    """It is typed when nothing else works."""
    (item,) = re.findall(r"'(\{\"target\": \{\"S\": \"\*\"\}.*\})'", RUNBOOK)
    circuit = decode_circuit(json.loads(item.replace("NOW", "1767571200").replace("UNTIL", "1767574800")))
    assert is_kill_switch(circuit)
    assert circuit.state is CircuitState.FORCED_CLOSED


def test_the_override_of_the_runbook_is_accepted():
    """So is this."""
    (request,) = re.findall(r"'(\{\"action\".*\})'", RUNBOOK)
    assert read_override(json.loads(request), now_s=0.0, known=frozenset({"payments"})).hold.until_s == 1800.0


def test_the_deployment_guide_explains_every_switch(template):
    """A feature that nobody can find is not there."""
    switches = {name for name in template["Parameters"] if name.startswith("Enable")}
    assert switches == set(re.findall(r"^\| `(Enable\w+)`", DEPLOY, re.MULTILINE))
    for name in re.findall(r"`([A-Z][A-Za-z]+Arn)`", DEPLOY):
        assert name in {*template["Parameters"], *template["Outputs"]}, name


def test_the_cost_page_counts_what_is_read_and_emitted(template):
    """Each metric more is money per target and month."""
    assert len(list(client_metrics("t").sources())) == 10
    assert "43,800 x 10 metrics x T" in COST
    assert len(COUNT_METRICS) + 1 == 12  # and the latency
    assert "12 metrics x (A accounts + F functions)" in COST
    alarms = [
        r["Properties"] for n, r in template["Resources"].items() if r["Type"] == "AWS::CloudWatch::Alarm"
    ]
    named = {a["AlarmName"]["Fn::Sub"]: a for a in alarms}
    own = [a for name, a in named.items() if "-controller-" in name and "-probe-" not in name]
    metrics = sum(len(a["Metrics"]) - 1 if "Metrics" in a else 1 for a in own)
    # The functions of stream and probe are switched off by default, and stand in two of the alarms.
    assert f"{len(own)} alarms, {metrics - 4} metrics" in COST


PAGES = [*(f"how-to/{name}.md" for name in ("deploy", "runbook", "terraform", "cdk", "probes")),
         *(f"reference/{name}.md" for name in ("iam", "cost", "when-the-controller-fails"))]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Relative links, from page to page."""
    path = ROOT / "docs" / page
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in link:
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize("name", ["checkov.yaml"])
def test_exceptions_of_checkov_are_written_with_their_reason(name):
    """An exception without a reason is a hole."""
    lines = (ROOT / "infra" / name).read_text().splitlines()
    skips = [i for i, line in enumerate(lines) if line.strip().startswith("- CKV")]
    assert len(skips) == 10
    for i in skips:
        above = lines[i - 1].strip()
        assert above.startswith(("#", "- CKV")), lines[i]
