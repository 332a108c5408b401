"""`flyball redrive` from the command line: what it prints, what it changes, how it ends.

Fidelity: files for real, SQS by moto, DynamoDB and Lambda behind loopback HTTP.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from flyball.contract import FLEET, Circuit, CircuitState, encode_circuit
from flyball.letter import encode_letter
from flyball_analytics import letterboxes
from flyball_analytics.cli import cli
from flyball_controller.aws.clients import DYNAMODB_LIMITS
from flyball_local.dynamodb import DynamoDBService, create_tables
from flyball_local.loopback import HttpReply, HttpRequest, LoopbackServer
from unit.analytics.letters import NOW_S, letter, lines

TAKEN: list[Any] = []
HERE = f"{__name__}:take"


def take(payload: Any) -> None:
    """The destination of most tests."""
    if payload == {"order": 13}:
        raise ValueError("unlucky\nnumber")
    TAKEN.append(payload["order"])


def redrive(*arguments: str):
    """Run the command line in this process; nobody waits for the pace."""
    TAKEN.clear()
    return CliRunner().invoke(cli, ["redrive", *arguments, "--rate", "100000"])


@pytest.fixture
def dead(tmp_path):
    """Three letters in a file."""
    path = tmp_path / "dead.jsonl"
    path.write_text(lines(letter(1), letter(2), letter(3)))
    return path


@pytest.fixture
def credentials(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return monkeypatch


def test_without_apply_nothing_is_changed_and_the_next_command_is_said(dead):
    """The default is safe."""
    result = redrive(str(dead), "--call", HERE)
    assert result.exit_code == 0
    assert result.output == (
        f"would send  {dead}:1  payments  PaymentError\n"
        f"would send  {dead}:2  payments  PaymentError\n"
        f"would send  {dead}:3  payments  PaymentError\n"
        "3 would send\n"
        "nothing was sent: this was a dry run\n"
        f"next: flyball redrive {dead} --call {HERE} --apply\n"
    )
    assert TAKEN == []
    assert [path.name for path in dead.parent.iterdir()] == ["dead.jsonl"]


def test_with_apply_letters_go_and_a_second_run_finds_nothing(dead):
    """Resumable: FILE.done."""
    assert redrive(str(dead), "--call", HERE, "--apply", "--limit", "2").output.endswith("2 sent\n")
    assert redrive(str(dead), "--call", HERE, "--apply").output.endswith("1 sent\n")
    assert TAKEN == [3]
    assert redrive(str(dead), "--call", HERE, "--apply").output == "no letters\n"


def test_no_payload_is_ever_printed(tmp_path):
    """Terminals and build logs are no place for orders."""
    path = tmp_path / "dead.jsonl"
    path.write_text(lines(letter(payload={"order": 7, "card": "4111"}, idempotency_key="secret-key")))
    for form in ("text", "json"):
        output = redrive(str(path), "--call", HERE, "--format", form).output
        assert "4111" not in output
        assert "secret-key" not in output


def test_json_is_a_line_per_letter_and_a_summary(dead):
    """For other programs."""
    dead.write_text(lines(letter(1), letter(13)) + "torn\n")
    result = redrive(str(dead), "--call", HERE, "--apply", "--format", "json")
    first, second, third, last = map(json.loads, result.stdout.splitlines())
    assert first == {
        "place": f"{dead}:1",
        "outcome": "SENT",
        "detail": "",
        "target": "payments",
        "function": "pay",
        "error": "PaymentError",
        "first_failed_at": NOW_S - 3_600.0,
    }
    assert (second["outcome"], second["detail"]) == ("FAILED", "ValueError: unlucky number")
    assert (third["outcome"], third["target"]) == ("UNUSABLE", None)
    assert last["applied"] is True
    assert last["summary"] == {
        "SENT": 1,
        "WOULD_SEND": 0,
        "OPEN": 0,
        "YOUNG": 0,
        "UNUSABLE": 1,
        "FAILED": 1,
    }


@pytest.mark.parametrize(
    ("content", "options", "code"),
    [
        ([letter(1)], ["--apply"], 0),
        ([letter(1)], ["--apply", "--exit-code"], 0),
        ([letter(1)], ["--exit-code"], 3),
        ([], ["--exit-code"], 0),
        ([letter(13)], ["--apply"], 5),
        ([letter(13)], ["--apply", "--exit-code"], 5),
        ([letter(1, problem="torn")], ["--apply"], 2),
        ([letter(1, problem="torn"), letter(13)], ["--apply"], 5),
        ([letter(1, first_failed_at=9e9)], ["--apply", "--exit-code"], 3),
        ([letter(13)] * 6, ["--apply"], 5),
    ],
)
def test_the_exit_code_says_how_it_went(tmp_path, content, options, code):
    """As the other commands: 2 an invalid file, 3 something is pending, 5 the other side failed."""
    path = tmp_path / "dead.jsonl"
    path.write_text(lines(*content))
    result = redrive(str(path), "--call", HERE, *options)
    assert result.exit_code == code, result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dead"], "exactly one of --lambda and --call"),
        (["dead", "--call", "a:b", "--lambda", "c"], "exactly one of --lambda and --call"),
        (["dead", "--call", "charge"], "MODULE:FUNCTION"),
        (["nowhere.jsonl", "--call", HERE], "nowhere.jsonl: No such file"),
        (["dead", "--call", HERE, "--rate", "0"], "--rate"),
        (["dead", "--call", HERE, "--older-than", "soon"], "--older-than"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments, words):
    """Before anything is read."""
    result = CliRunner().invoke(cli, ["redrive", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_file_on_which_another_redrive_works_is_refused(dead):
    """Else both would send everything."""
    other = letterboxes.Lines(dead, apply=True)
    result = redrive(str(dead), "--call", HERE, "--apply")
    other.close()
    assert (result.exit_code, TAKEN) == (2, [])
    assert "another redrive" in result.stderr


def test_what_was_done_before_a_failure_is_summed_up(dead):
    """A sixth letter is not tried after five failures; the count says how far it came."""
    dead.write_text(lines(letter(1), *[letter(13)] * 6))
    result = redrive(str(dead), "--call", HERE, "--apply")
    assert result.stdout.endswith("1 sent, 5 failed\n")
    assert "5 submissions in a row failed" in result.stderr


def test_only_old_letters_go(tmp_path):
    """Younger ones may be an incident that is still on."""
    path = tmp_path / "dead.jsonl"
    path.write_text(lines(letter(1), letter(2, first_failed_at=9e9)))
    result = redrive(str(path), "--call", HERE, "--apply", "--older-than", "1h")
    assert (result.exit_code, TAKEN) == (0, [1])
    assert "1 sent, 1 too young" in result.output


def test_a_queue_is_worked_off(credentials):
    """Deleted after success, shown again otherwise; a dry run leaves all."""
    credentials.setattr(letterboxes, "LONG_POLL_S", 0)  # moto waits real seconds
    with mock_aws():
        sqs = boto3.client("sqs")
        url = sqs.create_queue(QueueName="dead", Attributes={"ReceiveMessageWaitTimeSeconds": "0"})[
            "QueueUrl"
        ]
        for number in (1, 2, 13):
            sqs.send_message(QueueUrl=url, MessageBody=encode_letter(letter(number)))
        result = redrive(url, "--call", HERE)
        assert "3 would send" in result.output
        result = redrive(url, "--call", HERE, "--apply")
        assert (result.exit_code, sorted(TAKEN)) == (5, [1, 2])
        (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert message["Body"] == encode_letter(letter(13))


def test_a_queue_that_does_not_exist_is_a_backend_error(credentials):
    """With its code, in one paragraph."""
    with mock_aws():
        result = redrive("https://sqs.eu-west-1.amazonaws.com/123456789012/no", "--call", HERE)
    assert result.exit_code == 5
    assert "sqs failed" in result.stderr


def test_a_missing_region_is_a_backend_error(credentials, dead):
    """boto3 is made when it is needed, and says what it needs."""
    credentials.delenv("AWS_DEFAULT_REGION")
    credentials.setenv("AWS_CONFIG_FILE", "nowhere")
    result = redrive(str(dead), "--lambda", "pay")
    assert result.exit_code == 5
    assert "region" in result.stderr


def test_lambda_is_invoked_with_each_payload(credentials, dead):
    """Asynchronously, through a real client; a refusal for good stops at once."""
    seen: list[HttpRequest] = []

    def answer(request: HttpRequest) -> HttpReply:
        seen.append(request)
        if len(seen) == 2:
            return HttpReply(404, b"{}", {"x-amzn-ErrorType": "ResourceNotFoundException"})
        return HttpReply(202, b"", {})

    with LoopbackServer(answer) as server:
        credentials.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        result = redrive(str(dead), "--lambda", "pay", "--apply")
    assert [request.path for request in seen] == ["/2015-03-31/functions/pay/invocations"] * 2
    assert seen[0].body == b'{"order":1}'
    headers = {name.lower(): value for name, value in seen[0].headers.items()}
    assert headers["x-amz-invocation-type"] == "Event"
    assert result.exit_code == 5
    assert "1 sent\n" in result.stdout
    assert "ResourceNotFoundException" in result.stderr


class RealTime:
    """The store's clock; circuits here are valid for ever or not at all."""

    def now_s(self) -> float:
        return NOW_S


@contextmanager
def circuits(monkeypatch: Any, *items: Circuit):
    """A circuit table behind HTTP."""
    with DynamoDBService(RealTime(), region="eu-west-1").serve() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        client = letterboxes.make_client("dynamodb", DYNAMODB_LIMITS)
        create_tables(client)
        for item in items:
            client.put_item(TableName="flyball-circuits", Item=encode_circuit(item))
        client.close()
        yield


def test_targets_whose_circuit_is_not_closed_are_spared(credentials, tmp_path):
    """The backlog of one must not wait for the other."""
    path = tmp_path / "dead.jsonl"
    path.write_text(lines(letter(1), letter(2, target="stock")))
    opened = Circuit("payments", FLEET, CircuitState.OPEN, NOW_S, 9, 0.1, 1, "w", NOW_S, 9e9, "")
    with circuits(credentials, opened):
        result = redrive(
            str(path), "--call", HERE, "--apply", "--exit-code", "--circuits", "flyball-circuits"
        )
    assert (result.exit_code, TAKEN) == (3, [2])
    assert "circuit not closed: open" in result.output


def test_without_the_circuits_that_were_asked_for_nothing_is_sent(credentials, dead):
    """Fail closed: a redrive can wait."""
    with circuits(credentials):
        result = redrive(str(dead), "--call", HERE, "--apply", "--circuits", "no-table")
    assert (result.exit_code, TAKEN) == (5, [])
