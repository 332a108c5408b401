"""The same shard as a Lambda function, under the state machine of infra/sweep.asl.json."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from flyball_analytics import shards_lambda
from flyball_analytics.executors.inline import InlineExecutor
from flyball_analytics.shards import ShardError
from flyball_analytics.shards_lambda import Place, handler, place_of, serve
from flyball_analytics.sweep import Search, candidates_at, drive
from flyball_analytics.sweep_store import Store
from flyball_controller.policy_set import load_preset
from sweep_runs import history, labels

ROOT = Path(__file__).resolve().parents[3]
MACHINE = json.loads((ROOT / "infra" / "sweep.asl.json").read_text())


class Folder:
    """A folder as a bucket: our own fake of the two calls."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: list[str] = []

    def get_object(self, **named: str) -> dict[str, Any]:
        try:
            return {"Body": io.BytesIO((self.root / named["Bucket"] / named["Key"]).read_bytes())}
        except FileNotFoundError as error:
            # Without the right to list, S3 says forbidden of what is not there.
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject") from error

    def put_object(self, **named: Any) -> object:
        path = self.root / named["Bucket"] / named["Key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(named["Body"])
        self.written.append(named["Key"])
        return {}


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Search, list[str]]:
    """A planned run in the folder of a bucket, under the prefix runs/7/."""
    search = Search(Store(tmp_path / "bucket" / "runs" / "7"))
    search.add_history(history(minutes=130), labels())
    candidates, _ = candidates_at(load_preset("fixed"), iter([{"open_floor": 0.3}, {"open_floor": 0.4}]))
    return search, search.add_candidates(candidates)


# --- a small interpreter of the states that the machine uses ---------------------------------


class LambdaError(Exception):
    """What a task raised, as Step Functions names it."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


def look_up(path: str, data: Any, context: Any) -> Any:
    """Return the value of a reference path or of States.Format."""
    formatted = re.fullmatch(r"States\.Format\('([^']*)', (.+)\)", path)
    if formatted:
        return formatted[1].replace("{}", str(look_up(formatted[2], data, context)))
    here, rest = (context, path[2:]) if path.startswith("$$") else (data, path[1:])
    for name in filter(None, rest.split(".")):
        here = here[name]
    return here


def filled(template: Any, data: Any, context: Any) -> Any:
    """Return a payload template with its paths looked up."""
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): look_up(value, data, context)
        if key.endswith(".$")
        else filled(value, data, context)
        for key, value in template.items()
    }


def matches(rule: dict[str, Any], error: str) -> bool:
    """Return whether a retry or catch is meant for an error."""
    return "States.ALL" in rule["ErrorEquals"] or error in rule["ErrorEquals"]


def attempt(state: dict[str, Any], payload: Any, task: Callable[[Any], Any]) -> Any:
    """Run a task with its retries: the first rule that matches counts its own attempts."""
    used = [0] * len(state["Retry"])
    while True:
        try:
            return task(payload)
        except LambdaError as failure:
            for number, rule in enumerate(state["Retry"]):
                if matches(rule, failure.error):
                    if used[number] >= rule["MaxAttempts"]:
                        raise
                    used[number] += 1
                    break
            else:
                raise


def run_item(processor: dict[str, Any], data: Any, task: Callable[[Any], Any]) -> Any:
    """Run the inner machine for one item."""
    name = processor["StartAt"]
    while True:
        state = processor["States"][name]
        if state["Type"] == "Pass":
            data = filled(state["Parameters"], data, {})
        else:
            assert state["Resource"].endswith(":states:::lambda:invoke")
            parameters = filled(state["Parameters"], data, {})
            assert parameters["FunctionName"] == "${ShardFunctionArn}"
            try:
                answer = attempt(state, parameters["Payload"], task)
                data = filled(state["ResultSelector"], {"Payload": answer}, {})
            except LambdaError as failure:
                (rule,) = [rule for rule in state["Catch"] if matches(rule, failure.error)]
                place = rule["ResultPath"].removeprefix("$.")
                data = {**data, place: {"Error": failure.error, "Cause": failure.cause}}
                name = rule["Next"]
                continue
        if state.get("End"):
            return data
        name = state["Next"]


def run_machine(data: Any, objects: Folder, task: Callable[[Any], Any]) -> list[Any]:
    """Run the state machine; return what its result writer would write."""
    state = MACHINE["States"][MACHINE["StartAt"]]
    source = filled(state["ItemReader"]["Parameters"], data, {})
    items = json.loads(objects.get_object(**source)["Body"].read())
    found = []
    for item in items:
        given = filled(state["ItemSelector"], data, {"Map": {"Item": {"Value": item}}})
        found.append(run_item(state["ItemProcessor"], given, task))
    return found


def invoked(objects: Folder) -> Callable[[Any], Any]:
    """Return the Lambda function over a folder; errors are named as Lambda names them."""

    def task(event: Any) -> Any:
        try:
            return json.loads(json.dumps(serve(place_of(event), objects)))
        except Exception as error:
            raise LambdaError(type(error).__name__, str(error)) from error

    return task


# --- the tests -------------------------------------------------------------------------------


def test_the_machine_gives_the_bytes_that_this_process_gives(planned, tmp_path):
    """Copied up, run there, copied back: the outcome is the same, and nothing is left to run."""
    search, keys = planned
    objects = Folder(tmp_path)
    written = run_machine({"bucket": "bucket", "prefix": "runs/7/"}, objects, invoked(objects))
    assert written == [{"key": key, "status": "done"} for key in keys]
    there = {key: (search.store.folder / "results" / f"{key}.json").read_bytes() for key in keys}
    for path in (search.store.folder / "results").iterdir():
        path.unlink()
    list(drive(keys, search.store, InlineExecutor(), now_s=lambda: 0.0, errors={}))
    for key in keys:
        assert (search.store.folder / "results" / f"{key}.json").read_bytes() == there[key]


def test_a_second_run_of_the_machine_runs_nothing(planned, tmp_path):
    """A redrive pays for looking, not for running."""
    objects = Folder(tmp_path)
    run_machine({"bucket": "bucket", "prefix": "runs/7/"}, objects, invoked(objects))
    count = len(objects.written)
    again = run_machine({"bucket": "bucket", "prefix": "runs/7/"}, objects, invoked(objects))
    assert {one["status"] for one in again} == {"known"}
    assert len(objects.written) == count


def test_a_poison_shard_is_tried_three_times_and_listed(planned, tmp_path):
    """Its bytes are broken in the bucket; the other shard is done and the machine succeeds."""
    search, keys = planned
    (search.store.folder / "shards" / f"{keys[1]}.json").write_bytes(b"torn")
    objects = Folder(tmp_path)
    task, tried = invoked(objects), []

    def counted(event: Any) -> Any:
        tried.append(event["key"])
        return task(event)

    first, poison = run_machine({"bucket": "bucket", "prefix": "runs/7/"}, objects, counted)
    assert first["status"] == "done"
    assert (poison["key"], poison["status"], poison["error"]) == (keys[1], "poison", "ShardError")
    assert "copy it again" in poison["cause"]
    assert tried.count(keys[1]) == 3


def test_a_throttled_function_is_waited_for(planned, tmp_path):
    """Lambda's own errors have their own, longer retries: five of them are no poison."""
    objects, left = Folder(tmp_path), [5]
    task = invoked(objects)

    def throttled(event: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise LambdaError("Lambda.TooManyRequestsException", "rate exceeded")
        return task(event)

    found = run_machine({"bucket": "bucket", "prefix": "runs/7/"}, objects, throttled)
    assert {one["status"] for one in found} == {"done"}


def test_every_state_of_the_machine_is_reached_and_ends():
    """By hand, what Step Functions checks when the machine is made."""
    outer = MACHINE["States"]["Shards"]
    assert (outer["Type"], outer["End"]) == ("Map", True)
    # Poison shards are caught inside: a failure that gets out is one of the machine itself.
    assert outer["ToleratedFailurePercentage"] == 100
    assert outer["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    inner = outer["ItemProcessor"]["States"]
    named = {outer["ItemProcessor"]["StartAt"], *(rule["Next"] for rule in inner["Run"]["Catch"])}
    assert named == set(inner)
    assert all(state.get("End") for state in inner.values())
    for part in (outer["ItemReader"], outer["ResultWriter"], inner["Run"]):
        assert part["Resource"].startswith("arn:${Partition}:states:::")
    text = (ROOT / "infra" / "sweep.yaml").read_text()
    for name in set(re.findall(r"\$\{(\w+)\}", json.dumps(MACHINE))):
        assert f"        {name}: !" in text, f"infra/sweep.yaml does not substitute {name}"


def test_the_stack_names_the_handler_that_exists_and_may_touch_one_bucket_alone():
    """A search must not be able to change the fleet."""
    text = (ROOT / "infra" / "sweep.yaml").read_text()
    assert f"Handler: {handler.__module__}.handler" in text
    actions = set(re.findall(r"\b(?:s3|lambda|states|dynamodb|appconfig|cloudwatch):[A-Z]\w+", text))
    assert actions == {
        "s3:GetObject", "s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload",
        "lambda:InvokeFunction", "states:StartExecution", "states:DescribeExecution", "states:StopExecution",
    }  # fmt: skip


def test_the_handler_reads_and_writes_a_real_bucket(planned, monkeypatch):
    """Through boto3 against an embedded S3."""
    search, keys = planned
    monkeypatch.setattr(shards_lambda, "_CLIENT", None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="runs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for path in search.store.folder.rglob("*"):
            if path.is_file():
                s3.put_object(
                    Bucket="runs", Key=f"a/{path.relative_to(search.store.folder)}", Body=path.read_bytes()
                )
        event = {"bucket": "runs", "prefix": "a/", "key": keys[0]}
        assert handler(event) == {"key": keys[0], "status": "done"}
        assert handler(event) == {"key": keys[0], "status": "known"}
        body = s3.get_object(Bucket="runs", Key=f"a/results/{keys[0]}.json")["Body"].read()
    monkeypatch.setattr(shards_lambda, "_CLIENT", None)
    search.store.add_result(keys[0], body)


def test_a_store_that_cannot_be_read_is_not_taken_for_an_empty_one(planned, tmp_path):
    """Else every hiccup of S3 would run the shard again."""
    search, keys = planned
    objects = Folder(tmp_path)
    place = Place("bucket", "runs/7/", keys[0])
    serve(place, objects)

    class Slow(Folder):
        def get_object(self, **named: str) -> dict[str, Any]:
            if "/results/" in named["Key"]:
                raise ClientError({"Error": {"Code": "SlowDown"}}, "GetObject")
            return super().get_object(**named)

    with pytest.raises(ClientError):
        serve(place, Slow(tmp_path))
    (search.store.folder / "results" / f"{keys[0]}.json").write_bytes(b"torn")
    assert serve(place, objects)["status"] == "done"


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        {},
        {"bucket": "runs", "prefix": "a/", "key": "x"},
        {"bucket": "runs", "prefix": "../", "key": "0" * 32},
        {"bucket": "runs", "prefix": "a", "key": "0" * 32},
        {"bucket": "..", "prefix": "", "key": "0" * 32},
        {"bucket": "RUNS", "prefix": "", "key": "0" * 32},
        {"bucket": "runs", "prefix": 5, "key": "0" * 32},
        {"bucket": "runs", "prefix": "", "key": "0" * 32, "more": 1},
    ],
)
def test_an_event_that_names_no_shard_is_refused(event):
    """The names become paths: nothing in them may lead elsewhere."""
    with pytest.raises(ShardError):
        place_of(event)
