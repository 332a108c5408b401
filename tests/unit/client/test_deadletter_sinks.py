"""Where dead letters go: a file, a queue, a function. Each takes a letter whole, or raises."""

from __future__ import annotations

import os
from typing import Any

import boto3
import pytest
from moto import mock_aws

from flyball.deadletter import CallableSink, FileSink, Letter, SqsSink, decode_letter

LETTER = Letter("t", "pay", {"n": 1}, "PaymentError", "down", 3, 1_000.0, "k-1", reason="attempts")


def test_a_file_gets_a_line_per_letter(tmp_path):
    """Readable with any tool for JSON lines, by nobody else than its owner."""
    path = tmp_path / "dead.jsonl"
    sink = FileSink(str(path))
    for number in range(3):
        sink.put(LETTER._replace(payload=number))
    assert [decode_letter(line).payload for line in path.read_text().splitlines()] == [0, 1, 2]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_half_line_of_somebody_else_does_not_spoil_the_next_letter(tmp_path):
    """A disk that was full, a process that was killed."""
    path = tmp_path / "dead.jsonl"
    path.write_text('{"half')
    FileSink(str(path)).put(LETTER)
    assert decode_letter(path.read_text().splitlines()[1]) == LETTER


def test_a_file_that_cannot_be_written_completely_is_an_error(tmp_path, monkeypatch):
    """The caller then raises the call's own error with a note."""
    with pytest.raises(OSError, match="nowhere"):
        FileSink(str(tmp_path / "nowhere" / "dead.jsonl")).put(LETTER)
    monkeypatch.setattr(os, "write", lambda file, data: len(data) - 1)
    with pytest.raises(OSError, match="disk may be full"):
        FileSink(str(tmp_path / "dead.jsonl")).put(LETTER)


def test_a_function_is_a_sink():
    """The simplest one."""
    letters: list[Letter] = []
    CallableSink(letters.append).put(LETTER)
    assert letters == [LETTER]


@pytest.fixture
def aws(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1")


def received(sqs: Any, url: str) -> list[Letter]:
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [decode_letter(message["Body"]) for message in messages]


def test_a_queue_gets_a_message_per_letter(aws):
    """With its own client, made at the first letter; fidelity: moto."""
    url = aws.create_queue(QueueName="dead")["QueueUrl"]
    sink = SqsSink(url)
    odd = LETTER._replace(payload="\x00\ud800\uffff é 漢")
    sink.put(LETTER)
    sink.put(odd)
    assert sorted(received(aws, url), key=str) == sorted([LETTER, odd], key=str)
    assert sink._client.meta.config.read_timeout == 2.0
    assert sink._client.meta.config.retries["total_max_attempts"] == 2


def test_a_fifo_queue_keeps_a_letter_once(aws):
    """A put that was repeated because its answer was lost; names with blanks are no group names."""
    url = aws.create_queue(
        QueueName="dead.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "false"}
    )["QueueUrl"]
    sink = SqsSink(url, aws)
    letter = LETTER._replace(target="payments api")
    for _ in range(2):
        sink.put(letter)
    assert received(aws, url) == [letter]
