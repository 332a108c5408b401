"""The examples run by their one command, show what their pages show, and prove what these claim."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

EXAMPLES = ("payments", "steps", "worker")
ROW = re.compile(r"^(?P<said>\S.*?)\s{2,}(?P<before>[\d.,]+|never)\s+(?P<after>[\d.,]+|never)$")
TOLERANCE = 0.25  # a change of the controller may move numbers a little; pages must not lie


def rows(text):
    """Return what a before/after table says, by row."""
    found = (ROW.match(line) for line in text.splitlines())
    return {row["said"]: (_number(row["before"]), _number(row["after"])) for row in found if row}


def _number(word):
    return None if word == "never" else float(word.replace(",", ""))


@pytest.fixture(scope="module")
def printed(root):
    """What each example prints, all run at the same time."""
    running = {
        name: subprocess.Popen(
            [sys.executable, f"examples/{name}/run.py"], cwd=root, stdout=subprocess.PIPE, text=True
        )
        for name in EXAMPLES
    }
    text = {name: process.communicate(timeout=120)[0] for name, process in running.items()}
    assert all(process.returncode == 0 for process in running.values())
    return text


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_the_table_of_its_page(name, printed, root):
    """A page with numbers that nobody gets is worse than none."""
    shown, now = rows((root / "examples" / name / "README.md").read_text()), rows(printed[name])
    assert list(shown) == list(now)
    assert len(shown) >= 7
    for said, pair in shown.items():
        for expected, got in zip(pair, now[said], strict=True):
            if expected is None or got is None:
                assert expected is got, said
            else:
                assert got == pytest.approx(expected, rel=TOLERANCE, abs=2.0), said


def test_the_payments_example_ends_the_storm_and_refuses_nobody(printed):
    """The claim: as it was it never comes back; with flyball it is well at once and every order is taken."""
    table = rows(printed["payments"])
    assert table["minutes from the trouble's end until well"][0] is None
    assert table["minutes from the trouble's end until well"][1] <= 1.0
    assert table["refused (503 or time-out)"][1] == 0.0
    assert (
        table["requests to the provider, per order"][1]
        < 1.0
        < table["requests to the provider, per order"][0]
    )


def test_the_worker_example_leaves_only_bad_orders_to_people(printed):
    """The claim: each good order is shipped, exactly once."""
    table = rows(printed["worker"])
    assert table["shipped"][1] + table["bad orders that wait for a person"][1] == table["orders"][1]
    assert table["shipped more than once"][1] == table["good orders that wait for a person"][1] == 0.0
    assert table["good orders that wait for a person"][0] > 100.0


def test_the_steps_example_charges_every_order_once(printed):
    """The claim: patience instead of hammering, and no card is charged twice."""
    table = rows(printed["steps"])
    assert table["charged"][1] == table["orders"][1] > table["charged"][0]
    assert table["charges per completed order"] == (1.0, 1.0)
    before, after = table["requests to the provider in its outage"]
    assert after < before / 20.0


@pytest.fixture
def machine_at(root, tmp_path, monkeypatch):
    """Make a state machine of a definition, on a clock that notes pauses."""
    monkeypatch.syspath_prepend(str(root))
    from random import Random

    from examples.scene import Answer
    from examples.steps.machine import Machine

    def made(definition, answers):
        path = tmp_path / "machine.asl.json"
        path.write_text(json.dumps(definition))
        pauses = []
        replies = iter(answers)

        def invoke(name, payload):
            reply = next(replies)
            return Answer(None, reply) if isinstance(reply, str) else Answer(reply)

        return Machine(path, invoke=invoke, sleep=pauses.append, draws=Random(1)), pauses

    return made


def charge(**more):
    """A machine with one task."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "f", "Payload": {"of.$": "$$.Execution.Name"}},
        "Next": "Good",
        **more,
    }
    fails = {"Type": "Fail", "Error": "Bad"}
    return {"StartAt": "Task", "States": {"Task": task, "Good": {"Type": "Succeed"}, "Bad": fails}}


def test_a_retrier_waits_longer_each_time_and_gives_up_after_its_attempts(machine_at):
    """1, 2 and 3 s (capped); then Catch decides: 4 tries and the end state are 5 transitions."""
    retry = [
        {"ErrorEquals": ["E"], "IntervalSeconds": 1, "BackoffRate": 2, "MaxDelaySeconds": 3, "MaxAttempts": 3}
    ]
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Bad"}]
    machine, pauses = machine_at(charge(Retry=retry, Catch=catch), ["E"] * 4)
    ended = machine.execute("x-1", {})
    assert pauses == [1, 2, 3]
    assert (ended.state, ended.succeeded, ended.transitions) == ("Bad", False, 5)
    assert ended.data["error"]["Error"] == "E"


def test_an_error_that_no_retrier_names_is_caught_at_once(machine_at):
    """A declined card must not be asked for again."""
    retry = [{"ErrorEquals": ["E"], "MaxAttempts": 3}]
    catch = [{"ErrorEquals": ["Declined"], "Next": "Bad"}]
    machine, pauses = machine_at(charge(Retry=retry, Catch=catch), ["Declined"])
    assert machine.execute("x-1", {}).state == "Bad"
    assert pauses == []


def test_a_definition_that_the_machine_does_not_know_is_refused(machine_at):
    """Else it would run, differently from Step Functions."""
    with pytest.raises(ValueError, match="HeartbeatSeconds"):
        machine_at(charge(HeartbeatSeconds=3), [])
