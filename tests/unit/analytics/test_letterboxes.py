"""Where dead letters lie and where they go; fidelity: files for real, SQS by moto, Lambda by a fake."""

from __future__ import annotations

from collections import Counter
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flyball.letter import encode_letter
from flyball_analytics.letterboxes import (
    DestinationError,
    Lines,
    Queue,
    read_slip,
    to_callable,
    to_lambda,
)
from flyball_controller.ports import PortError
from unit.analytics.letters import Office, letter, lines, outcomes, run

# --- files ------------------------------------------------------------------------------


def redrive_file(path: Any, office: Any, **fields: Any) -> list[str]:
    source = Lines(path, apply=fields.get("apply", True))
    try:
        return outcomes(run(source, office, **fields))
    finally:
        source.close()


def test_a_file_is_gone_on_with_where_it_was_left(tmp_path):
    """FILE.done says what is done; letters that come later are found."""
    path = tmp_path / "dead.jsonl"
    path.write_text(lines(letter(1), letter(2), letter(3)))
    office = Office(None, OSError())
    assert redrive_file(path, office, limit=1) == ["SENT"]
    with path.open("a") as file:
        file.write("\n" + lines(letter(4)))
    assert redrive_file(path, office) == ["FAILED", "SENT", "SENT"]
    assert redrive_file(path, office) == ["SENT"]
    assert redrive_file(path, office) == []
    assert office.taken == [1, 3, 4, 2]
    assert len((tmp_path / "dead.jsonl.done").read_text().split()) == 4


def test_a_letter_that_stands_twice_goes_twice(tmp_path):
    """It was put twice: two calls with equal arguments are two calls."""
    path, office = tmp_path / "dead.jsonl", Office()
    path.write_text(lines(letter(1), letter(1)))
    assert redrive_file(path, office, limit=1) == ["SENT"]
    assert redrive_file(path, office) == ["SENT"]
    assert redrive_file(path, office) == []


def test_a_line_that_is_no_letter_stays_and_stops_nothing(tmp_path):
    """With its number, so that it can be mended."""
    path = tmp_path / "dead.jsonl"
    path.write_bytes(b"\xff\xfe\n" + lines(letter(1)).encode() + b'{"half')
    source = Lines(path, apply=False)
    results = run(source, Office(), apply=False)
    source.close()
    assert outcomes(results) == ["UNUSABLE", "WOULD_SEND", "UNUSABLE"]
    assert results[2].slip.place == f"{path}:3"
    assert not (tmp_path / "dead.jsonl.done").exists(), "a dry run writes nothing"


def test_two_redrives_of_one_file_do_not_run_at_once(tmp_path):
    """Else both would send everything."""
    path = tmp_path / "dead.jsonl"
    path.write_text("")
    first = Lines(path, apply=True)
    with pytest.raises(BlockingIOError):
        Lines(path, apply=True)
    first.close()
    Lines(path, apply=True).close()


def test_an_infinite_number_in_a_payload_is_no_json():
    """Python reads 1e999 and could not write it again."""
    text = encode_letter(letter(payload=0)).replace('"payload":0', '"payload":1e999')
    assert "JSON" in read_slip("x", text).problem


# --- queues -----------------------------------------------------------------------------


@pytest.fixture
def sqs(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1")


def filled(sqs: Any, count: int) -> str:
    url = str(sqs.create_queue(QueueName="dead")["QueueUrl"])
    for number in range(count):
        sqs.send_message(QueueUrl=url, MessageBody=encode_letter(letter(number)))
    return url


class ShortPolls:
    """moto waits real seconds for a long poll of an empty queue."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.visible_s: list[float] = []

    def receive_message(self, **arguments: Any) -> Any:
        assert arguments["WaitTimeSeconds"] > 0
        self.visible_s.append(arguments["VisibilityTimeout"])
        return self._client.receive_message(**{**arguments, "WaitTimeSeconds": 0})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def left(sqs: Any, url: str) -> tuple[int, int]:
    """Visible and hidden messages."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def test_a_queue_loses_what_was_taken_and_shows_the_rest_again(sqs):
    """25 letters in three batches; what failed is there for the next run at once."""
    url = filled(sqs, 25)
    sqs.send_message(QueueUrl=url, MessageBody="no letter")
    source, office = Queue(ShortPolls(sqs), url, seconds_per_letter=0.1), Office(OSError(), None, OSError())
    counts = Counter(outcomes(run(source, office)))
    assert counts == {"SENT": 23, "FAILED": 2, "UNUSABLE": 1}
    assert left(sqs, url) == (0, 3)
    source.close()
    assert left(sqs, url) == (3, 0)
    again = Queue(ShortPolls(sqs), url, seconds_per_letter=0.1)
    assert Counter(outcomes(run(again, office))) == {"SENT": 2, "UNUSABLE": 1}
    assert sorted(office.taken) == list(range(25))


def test_a_limit_gives_the_rest_of_the_batch_back(sqs):
    """Also what was received and never looked at."""
    url = filled(sqs, 10)
    source = Queue(ShortPolls(sqs), url, seconds_per_letter=0.1)
    assert outcomes(run(source, Office(), limit=3)) == ["SENT"] * 3
    source.close()
    assert left(sqs, url) == (7, 0)


def test_what_comes_round_again_ends_the_reading():
    """Messages that were skipped show themselves when their time is over: no endless redrive."""

    class Carousel:
        def __init__(self) -> None:
            self.rounds = 0
            self.shown: list[str] = []

        def receive_message(self, **_: Any) -> Any:
            self.rounds += 1
            body = encode_letter(letter(1, problem="torn"))
            return {"Messages": [{"MessageId": "m", "ReceiptHandle": f"r{self.rounds}", "Body": body}]}

        def delete_message(self, **arguments: Any) -> Any:
            raise AssertionError(arguments)

        def change_message_visibility(self, **arguments: Any) -> Any:
            self.shown.append(arguments["ReceiptHandle"])

    client = Carousel()
    source = Queue(client, "q", seconds_per_letter=1.0)
    assert outcomes(run(source, Office())) == ["UNUSABLE"]
    source.close()
    assert client.shown == ["r2"], "by the newest receipt"


@pytest.mark.parametrize(
    ("seconds", "batch", "hidden_s"),
    [(0.1, 10, 61), (6.0, 5, 90), (30.0, 1, 90), (100.0, 1, 160), (1e6, 1, 43_200)],
)
def test_messages_are_hidden_for_longer_than_their_batch_takes(seconds, batch, hidden_s):
    """Slow redrives take small batches: else a letter would show itself while it waits, and go twice."""
    queue = Queue(None, "q", seconds_per_letter=seconds)
    assert (queue.batch, queue.hidden_s) == (batch, hidden_s)


def test_a_queue_that_fails_is_a_backend_error(sqs):
    """And a failing release is none: they show themselves later."""
    with pytest.raises(PortError) as caught:
        run(Queue(sqs, "https://sqs.eu-west-1.amazonaws.com/1/nowhere", seconds_per_letter=1.0), Office())
    assert caught.value.backend == "sqs"
    url = filled(sqs, 1)
    source = Queue(ShortPolls(sqs), url, seconds_per_letter=1.0)
    run(source, Office(OSError()))
    sqs.delete_queue(QueueUrl=url)
    source.close()


# --- destinations -----------------------------------------------------------------------


class Lambda:
    """An invoke that answers as told."""

    def __init__(self, status: int = 202) -> None:
        self.status = status
        self.calls: list[dict[str, Any]] = []

    def invoke(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        return {"StatusCode": self.status}


def test_lambda_gets_the_payload_as_its_event():
    """Asynchronously: the function's own retries and letters take over."""
    client = Lambda()
    to_lambda(client, "pay")(letter(7))
    assert client.calls == [
        {"FunctionName": "pay", "InvocationType": "Event", "Payload": b'{"order":7}'},
    ]


def test_an_invocation_that_was_not_accepted_is_a_failure():
    """200 is a synchronous answer: somebody stands between."""
    with pytest.raises(PortError, match="200"):
        to_lambda(Lambda(200), "pay")(letter())


SEEN: list[Any] = []


def plain(payload: Any) -> None:
    SEEN.append(payload)


def keyed(payload: Any, *, idempotency_key: str) -> None:
    SEEN.append((payload, idempotency_key))


async def slow(payload: Any) -> None:
    SEEN.append(payload)


@pytest.mark.parametrize("name", ["plain", "keyed", "slow"])
def test_a_python_function_gets_the_payload_and_the_key_if_it_asks(name):
    """An async one is run to its end."""
    SEEN.clear()
    to_callable(f"{__name__}:{name}")(letter(7))
    (seen,) = SEEN
    assert seen == (({"order": 7}, "k7") if name == "keyed" else {"order": 7})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("payments", "must be MODULE:FUNCTION"),
        (":charge", "must be MODULE:FUNCTION"),
        ("no_such_module:charge", "cannot be imported"),
        ("os:getcw", "did you mean 'getcwd'"),
        ("os:name", "has no function"),
    ],
)
def test_a_destination_that_does_not_exist_is_refused_before_anything_is_read(text, words):
    """With a guess."""
    with pytest.raises(DestinationError, match=words):
        to_callable(text)
