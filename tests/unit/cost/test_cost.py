"""The bill, worked with a pocket calculator."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball_analytics.cli import cli
from flyball_analytics.cost import Calls, Fleet, Saved, Span, Stakes, bill, queries_per_target
from flyball_analytics.cost_replay import counted
from flyball_analytics.cost_text import bill_json, bill_markdown, bill_text, sentences
from flyball_analytics.ingest.cloudwatch import GET_METRIC_DATA_USD
from flyball_analytics.moments import utc
from flyball_analytics.prices import AS_OF, PRICES, prices
from flyball_controller.policy_set import load_preset
from report_world import OUTAGE, START_S, labels, watched

POLICY = load_preset("two-loop").default
DOC = Path(__file__).parents[3] / "docs" / "reference" / "cost.md"
NO_STAKES = Stakes()


def lines(fleet: Fleet) -> dict[str, float]:
    """Return the lines by part."""
    return {line.part: line.usd for line in bill(fleet, POLICY, prices()).lines}


def test_twenty_targets_cost_what_the_reference_says():
    """The column T = 20 of docs/reference/cost.md: 87.60, 0.07, 0.44, 4.00, 1.70, 3.60, 3.00."""
    found = lines(Fleet(20))
    assert found["metrics read"] == pytest.approx(43_800 * 10 * 20 * 0.01 / 1_000)  # 87.60
    assert found["ticks (Lambda)"] == pytest.approx(0.0672, abs=1e-4)
    # reads 43,800 x 41 = 1,795,800 units: 0.2245; writes 8,760 x 40 = 350,400 units: 0.2190
    assert found["state (DynamoDB)"] == pytest.approx(0.2245 + 0.2190, abs=1e-4)
    assert found["client alarms"] == pytest.approx(4.0)
    assert found["alarms on the controller"] == pytest.approx(1.7)
    assert found["metrics of the controller"] == pytest.approx(3.6)
    assert found["dashboard"] == 3.0
    assert found["schedule (EventBridge)"] == 0.0
    assert found["logs"] == pytest.approx(43_800 * 7e-6 * 0.5)


def test_the_fleet_costs_by_functions_environments_changes_and_cold_starts():
    """12 x 4 x 0.30 = 14.40 a target; 100 warm environments and one change in four hours: 14.60."""
    found = lines(
        Fleet(1, functions=3.0, environments=100.0, cold_starts_per_day=1_000.0, changes_per_h=0.25)
    )
    assert found["metrics of the clients"] == pytest.approx(14.40)
    assert found["circuits read (DynamoDB)"] == pytest.approx(3.33, abs=0.005)  # 53.29 M reads, half a unit
    assert found["document polled (AppConfig)"] == pytest.approx(1.168)  # 5.84 M polls
    # 100 x 0.25 x 730 = 18,250 by changes, 1,000 x 30.4167 by cold starts
    assert found["document received (AppConfig)"] == pytest.approx((18_250 + 30_416.67) * 0.0008, abs=1e-3)


def test_a_stream_costs_by_updates_and_a_little_by_volume():
    """12 updates a minute and target: 525,600 a month, 1.58 USD, and a quarter of a gigabyte."""
    assert "metric stream and Firehose" not in lines(Fleet(1))
    assert lines(Fleet(1, stream=True))["metric stream and Firehose"] == pytest.approx(
        1.5768 + 0.00762, abs=1e-4
    )


def test_metrics_of_three_accounts_are_asked_for_three_times_and_kept_thrice():
    """43,800 x 10 x 3 metrics: 13.14. 12 series in each account and of each function: 21.60."""
    found = lines(Fleet(1, functions=3.0, accounts=3))
    assert found["metrics read"] == pytest.approx(13.14)
    assert found["metrics of the clients"] == pytest.approx(12 * (3 + 3) * 0.30)
    one = lines(Fleet(1, functions=3.0))
    assert {part for part in found if found[part] != one[part]} == {"metrics read", "metrics of the clients"}


def test_accounts_are_said_on_the_command_line_and_what_is_free_is_said_back():
    """A bill that is silent about links and roles leaves the reader to search the price pages."""
    shown = CliRunner().invoke(cli, ["cost", "--targets", "1", "--accounts", "3"])
    assert shown.exit_code == 0
    assert "43,800 ticks x 10 metrics x 1 x 3 accounts" in shown.output
    assert "12 x (3 accounts + 3 functions) x 1" in shown.output
    assert "Links that share metrics between accounts and assumed roles have no price" in shown.output
    plain = CliRunner().invoke(cli, ["cost", "--targets", "1", "--accounts", "3", "--format", "json"])
    assert json.loads(plain.output)["fleet"]["accounts"] == 3
    assert CliRunner().invoke(cli, ["cost", "--targets", "1", "--accounts", "0"]).exit_code == 2
    assert "accounts" not in CliRunner().invoke(cli, ["cost", "--targets", "1"]).output


def test_the_limit_of_changes_is_priced_too():
    """12 an hour to 100 environments: 876,000 documents, 700.80 USD; the reason why changes are few."""
    made = bill(Fleet(1, environments=100.0), POLICY, prices())
    assert POLICY.changes_per_h_max == 12
    assert made.received_at_limit == pytest.approx(700.8)
    assert any("701 USD" in told for told in sentences(made, saved=None, stakes=NO_STAKES))


def test_retries_cost_the_callers_time_and_what_the_target_charges():
    """1 M requests, 10 % retries: 100,000 attempts of 0.2 s at half a gigabyte, and 0.001 each."""
    calls = Calls(0.1, 200.0, 512.0, 0.001)
    made = bill(Fleet(1, requests=1e6), POLICY, prices(), calls=calls)
    assert made.retries == pytest.approx(100_000 * (0.1 * 0.0000133334 + 0.001))
    assert made.retries_saved is None
    assert made.break_even_retries_ratio == pytest.approx(made.total / made.retries)
    told = sentences(made, saved=None, stakes=NO_STAKES)
    assert "Retries cost about 100 USD a month; it pays for itself if it saves" in " ".join(told)


def test_the_break_even_is_stated_in_minutes_and_in_requests():
    """A bill of B pays for itself with 60 x B / 6,000 minutes of outage, or B / 0.5 requests."""
    made = bill(Fleet(1), POLICY, prices(), stakes=Stakes(0.5, 6_000.0))
    assert made.break_even_outage_min == pytest.approx(made.total / 100.0)
    assert made.break_even_requests == pytest.approx(2.0 * made.total)
    nothing = bill(Fleet(1), POLICY, prices(), stakes=Stakes(0.0, None))
    assert nothing.break_even_requests is None
    assert nothing.break_even_outage_min is None
    assert nothing.saved is None


def test_what_is_saved_is_time_and_retries_less_what_was_refused():
    """2 h earlier at 1,000 an hour, 300 requests refused at 0.5 each: 1,850; and a fifth of the retries."""
    saved = Saved(0.2, 2.0, 300.0, 4, 7.0, "fixed")
    made = bill(
        Fleet(1, requests=1e6),
        POLICY,
        prices(),
        calls=Calls(0.1, 0.0, 0.0, 0.001),
        stakes=Stakes(0.5, 1_000.0),
        saved=saved,
    )
    assert made.outage_saved == pytest.approx(1_850.0)
    assert made.retries_saved == pytest.approx(20.0)
    assert made.saved == pytest.approx(1_870.0)
    told = " ".join(sentences(made, saved=saved, stakes=Stakes(0.5, 1_000.0)))
    assert (
        "answers 2 h earlier, 20 % of the retries not made, 300 requests more refused in healthy time" in told
    )
    assert "save about 1,870 USD a month, more than it costs" in told


def test_a_policy_that_answers_later_is_said_to():
    """A saving may be a loss; nobody saves minus a hundred dollars."""
    saved = Saved(0.0, -1.0, -5.0, 1, 7.0, "fixed")
    made = bill(Fleet(1), POLICY, prices(), stakes=Stakes(None, 100.0), saved=saved)
    assert made.outage_saved == -100.0
    told = " ".join(sentences(made, saved=saved, stakes=Stakes(None, 100.0)))
    assert "answers 1 h later" in told
    assert "5 requests fewer refused" in told
    assert "So it would cost about 100 USD a month more, beside the bill." in told


def test_a_replay_counts_what_nobody_states():
    """Four hours with 24,000 requests, a tenth retried, two changes; 0.5 an hour; 4.38 M requests a month."""
    one = watched()
    missed = [seen._replace(delay_s=seen.delay_s + 3_600.0) for seen in one.figures.incidents]
    baseline = one.figures._replace(contender="fixed", incidents=tuple(missed))
    found = counted(
        [one], [baseline], POLICY, fleet=Fleet(0, environments=7.0), calls=Calls(usd_per_call=1.0)
    )
    assert found.fleet == Fleet(1, pytest.approx(24_000 * 182.5), environments=7.0, changes_per_h=0.5)
    assert found.calls == Calls(pytest.approx(0.1), usd_per_call=1.0)
    assert found.saved is not None
    assert found.saved.earlier_h == pytest.approx(182.5)  # one hour in four hours of recording
    assert found.saved.retries_ratio == pytest.approx(310 / 2_400)
    assert found.saved.refused_well == 0.0
    assert (found.saved.incidents, found.saved.baseline) == (1, "fixed")


def test_without_labels_or_attempts_nothing_is_claimed():
    """No label: nobody knows what an answer was worth. No attempts: the stated ratio stands."""
    one = watched(known=False)
    for flow in one.flows.values():
        flow.measured = flow.attempts = 0
        flow.kept = 0.0
    found = counted([one], [one.figures], POLICY, fleet=Fleet(0), calls=Calls(0.3))
    assert found.saved is None
    assert found.calls.retries_ratio == 0.3
    labelled = watched()
    for flow in labelled.flows.values():
        flow.attempts = flow.measured
    known = counted([labelled], [labelled.figures], POLICY, fleet=Fleet(0), calls=Calls())
    assert known.saved is not None
    assert known.saved.retries_ratio == 0.0


def test_there_is_one_price_table():
    """What the reference quotes, what ingest estimates by and what the bill uses are the same numbers."""
    text = DOC.read_text()
    assert AS_OF in text
    quoted = [name for name in PRICES if name not in ("logs_gb", "firehose_gb", "event")]
    flat = text.replace("**", "")
    amounts = {name: PRICES[name].said.split()[0] for name in quoted}
    assert all(amount in flat for amount in amounts.values()), amounts
    assert f"{queries_per_target()} metrics x T" in text
    assert prices()["metric_data"] == pytest.approx(GET_METRIC_DATA_USD)


@pytest.mark.parametrize("name", PRICES)
def test_a_price_says_the_number_that_it_is(name):
    """0.01 per 1,000 is 0.00001 each; the words and the number must not part."""
    price = PRICES[name]
    words = price.said.split()
    per = {"1,000": 1e3, "million": 1e6}.get(words[2] if len(words) > 2 else "", 1.0)
    assert float(words[0]) / per == pytest.approx(price.usd)
    assert price.source
    assert price.unit


def test_the_forms_hold_the_same_lines():
    """What stands in a pull request is what stood on the terminal."""
    made = bill(Fleet(2, stream=True), POLICY, prices())
    for write in (bill_text, bill_markdown):
        text = write(made, saved=None, stakes=NO_STAKES)
        assert all(line.part in text and line.arithmetic in text for line in made.lines)
        assert AS_OF in text


# --- the command -------------------------------------------------------------------------------


def invoke(*arguments: object):
    """Run the command."""
    return CliRunner().invoke(cli, ["cost", *map(str, arguments)])


def test_the_command_adds_up_and_a_price_can_be_replaced():
    """Its total is that of its lines; a dearer alarm shows where alarms are."""
    plain = json.loads(invoke("--targets", 20, "--format", "json").stdout)
    assert plain["schema"] == 1
    assert plain["total_usd"] == pytest.approx(sum(line["usd"] for line in plain["lines"]))
    dear = json.loads(invoke("--targets", 20, "--price", "alarm=1", "--format", "json").stdout)
    assert dear["total_usd"] - plain["total_usd"] == pytest.approx((40 + 17) * 0.9)
    assert dear["prices"]["usd"]["alarm"]["usd"] == 1.0
    assert "| metrics read |" in invoke("--targets", 20, "--format", "markdown").stdout
    assert "together" in invoke("--targets", 20).stdout


def test_a_history_is_counted_and_what_is_stated_wins(tmp_path):
    """Targets and requests from the recording; changes as stated."""
    rows = [
        f"{utc(START_S + 60.0 * n)},100,{100 if n in OUTAGE else 0},{100 if n in OUTAGE else 0},110"
        for n in range(240)
    ]
    file = tmp_path / "payments.csv"
    file.write_text("\n".join(["timestamp,requests,errors,timeouts,attempts", *rows]) + "\n")
    one = labels().incidents[0]
    truth = {"series": {"payments": {"incidents": [{"start": utc(one.start_s), "end": utc(one.end_s)}]}}}
    (tmp_path / "labels.json").write_text(json.dumps(truth))
    result = invoke(
        file,
        "--labels",
        tmp_path / "labels.json",
        "--changes-per-h",
        2,
        "--usd-per-outage-h",
        10,
        "--format",
        "json",
    )
    assert result.exit_code == 0, result.output
    plain = json.loads(result.stdout)
    assert plain["fleet"]["targets"] == 1
    assert plain["fleet"]["changes_per_h"] == 2.0
    assert plain["fleet"]["requests"] == pytest.approx(24_000 * 182.5)
    assert plain["replay"]["incidents"] == 1
    assert plain["saved_usd"] is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --targets"),
        (("--targets", 1, "--price", "alarms=1"), "did you mean 'alarm'"),
        (("--targets", 1, "--price", "alarm=dear"), "must be a number"),
        (("--targets", 1, "--price", "alarm=-1"), "must be a number"),
        (("--targets", 0), "--targets"),
    ],
)
def test_what_cannot_be_computed_is_a_usage_error(arguments, message):
    """Exit code 2, and what to write instead."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_an_unknown_price_is_refused_in_code_too():
    """A typing error must not leave the list price in force."""
    with pytest.raises(KeyError):
        prices({"alarms": 1.0})


def test_requests_kept_are_a_range_of_money_and_of_break_even():
    """1,000 to 5,000 kept at 0.10 USD, 200 more refused: 80 to 480 USD; paid from total / kept on."""
    saved = Saved(0.5, 1.0, 200.0, 3, 30.0, "fixed", Span(1_000.0, 5_000.0))
    made = bill(Fleet(1), POLICY, prices(), stakes=Stakes(0.1, 6_000.0), saved=saved)
    assert made.avoided == pytest.approx((80.0, 480.0))
    assert made.break_even_usd_per_request == pytest.approx((made.total / 5_000.0, made.total / 1_000.0))
    assert made.saved_span == pytest.approx((80.0, 480.0)), "no retries were stated, so none are saved"
    text = bill_text(made, saved=saved, stakes=Stakes(0.1, 6_000.0))
    assert "1,000 to 5,000 requests a month fewer are lost (negative: more). Closed loop:" in text
    assert "At 0.1 USD each the outages avoided are worth 80.00 to 480 USD a month" in text
    assert "So it would save about 80.00 to 480 USD a month, more than it costs in every world." in text
    plain = bill_json(made, fleet=Fleet(1), calls=Calls(), stakes=Stakes(0.1), saved=saved, price=prices())
    assert plain["avoided_usd"] == pytest.approx([80.0, 480.0])
    assert plain["closed_loop_limits"]


@pytest.mark.parametrize(
    ("kept", "words", "end"),
    [
        (Span(-10.0, 1_000.0), "and never in the worst", "more than it costs in some worlds only"),
        (Span(-10.0, -1.0), "No world keeps a request", "less than it costs in every world"),
    ],
)
def test_where_a_world_keeps_nothing_that_is_said(kept, words, end):
    """A break-even that does not exist must not be a large number."""
    saved = Saved(0.0, 0.0, 0.0, 0, 30.0, "fixed", kept)
    stakes = Stakes(1.0)
    made = bill(Fleet(1), POLICY, prices(), stakes=stakes, saved=saved)
    text = bill_text(made, saved=saved, stakes=stakes)
    assert words in text
    assert end in text
    assert "The replay of" not in text, "no labelled incident, nothing to say of an open loop"
    plain = bill_json(made, fleet=Fleet(1), calls=Calls(), stakes=stakes, saved=saved, price=prices())
    assert plain["break_even"]["usd_per_lost_request"][1] is None


def test_a_history_without_a_usable_row_ends_with_4(tmp_path):
    """It ended as a defect of ours."""
    bad = tmp_path / "bad.csv"
    bad.write_text("timestamp,requests,errors\n1700049600,9,-1\n1700049660,9,-1\n")
    result = CliRunner().invoke(cli, ["cost", str(bad)])
    assert result.exit_code == 4
    assert "bad.csv: no window with requests" in result.stderr
    assert result.stderr.endswith("nothing can be counted [inconclusive]\n")
