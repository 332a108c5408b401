"""Every wrong argument is refused where it is given, with its name, its value and what it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import boto3
import pytest

import flyball
from flyball import faults
from flyball.agent import AgentDocuments, agent_port
from flyball.appconfigdata import AppConfigDataDocuments
from flyball.aws import DynamoCircuits
from flyball.deadletter import CallableSink, DeadLetter, FileSink, SqsSink
from flyball.environment import Runtime
from flyball.errors import ContractError, SettingsError
from flyball.explain import explain, main
from flyball.guard import configure
from flyball.interop import botocore, powertools, stamina, tenacity
from flyball.otel import OpenTelemetry
from flyball.outcome import Outcome
from flyball.testing import capture, controlled_clock, force_open, published, with_params
from unit.client.support import World

SINK = CallableSink(repr)


def quote(order: str, timeout_s: float = 1.0) -> str:
    return order


def anything(**options: object) -> object:
    return options


def client() -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client("dynamodb", region_name="eu-west-1", **keys)


class Wrong(NamedTuple):
    """What is done, the field that is blamed, and what the error says."""

    do: Callable[[World], object]
    field: str
    text: str


def of_target(**options: object) -> Callable[[World], object]:
    return lambda world: world.target(**options)


def of_guard(function: object = quote, **options: object) -> Callable[[World], object]:
    return lambda world: world.target().guard(**options)(function)  # type: ignore[arg-type]


def entered(aid: Callable[..., Any], *given: object, **options: object) -> Callable[[World], object]:
    """The aid is used, on the Runtime of the world."""

    def do(world: World) -> object:
        with aid(*given, within=world.runtime, **options):
            return None

    return do


def explained(**numbers: object) -> Callable[[World], object]:
    return lambda world: explain(world.target(), **numbers)  # type: ignore[arg-type]


def failed(found: object) -> Callable[[World], object]:
    return lambda world: world.target().acquire().failure(found)  # type: ignore[arg-type]


WRONG = {
    # a word is true, whichever it is: the call would be repeated
    "target idempotent": Wrong(
        of_target(idempotent="no"), "idempotent", "idempotent='no' must be True or False"
    ),
    "target idempotent 1": Wrong(of_target(idempotent=1), "idempotent", "idempotent=1 must be True or False"),
    "target within": Wrong(lambda _: flyball.target("t", within=5), "within", "within=5 must be a Runtime"),  # type: ignore[arg-type]
    "target on": Wrong(of_target(on=KeyboardInterrupt), "on", "catch no interruptions"),
    "configure": Wrong(lambda _: configure("x"), "new", "new='x' must be a Runtime, or None"),  # type: ignore[arg-type]
    # the usual guess: so many seconds
    "guard timeout": Wrong(of_guard(timeout=5), "timeout", "timeout=5 must be the name of the argument"),
    "guard timeout 0": Wrong(of_guard(timeout=0), "timeout", "parameter retry.attempt_timeout_ms"),
    "guard timeout kw": Wrong(of_guard(anything, timeout=5), "timeout", "timeout=5 must be the name"),
    "guard idempotent": Wrong(of_guard(idempotent="no"), "idempotent", "must be True, False or None"),
    "guard key": Wrong(
        of_guard(anything, idempotency_key=5), "idempotency_key", "must be the name of an arg"
    ),
    "guard verdict": Wrong(of_guard(verdict=5), "verdict", "verdict=5 must be a function of the result"),
    "guard staticmethod": Wrong(of_guard(staticmethod(quote)), "function", "under @classmethod and @static"),
    "attempts": Wrong(lambda w: w.target().attempts(idempotent="no"), "idempotent", "True, False or None"),  # type: ignore[arg-type]
    # neutral in silence would be: nobody learns that the target throttles
    "failure text": Wrong(failed("timeout"), "found", "found='timeout' must be an Outcome"),
    "failure status": Wrong(failed(429), "found", "found=429 must be an Outcome"),
    "failure class": Wrong(failed(TimeoutError), "found", "the exception itself, not its class"),
    "failure success": Wrong(failed(Outcome.SUCCESS), "found", "a good attempt is success"),
    "hooks": Wrong(lambda _: Runtime(hooks=5), "hooks", "hooks=5 must be a function"),  # type: ignore[arg-type]
    "several hooks": Wrong(lambda _: Runtime(hooks=[5]), "hooks", "must be a function of an event"),  # type: ignore[list-item]
    "Runtime function": Wrong(lambda _: Runtime(function=5), "function", "function=5 must be the name"),  # type: ignore[arg-type]
    "Runtime off": Wrong(lambda _: Runtime(off="no"), "off", "off='no' must be True or False"),  # type: ignore[arg-type]
    "Runtime write": Wrong(lambda _: Runtime(write=5), "write", "write=5 must be a function of a line"),  # type: ignore[arg-type]
    "Runtime documents": Wrong(lambda _: Runtime(documents=5), "documents", "method read"),  # type: ignore[arg-type]
    "Runtime circuits": Wrong(lambda _: Runtime(circuits="table"), "circuits", "method read"),  # type: ignore[arg-type]
    "inject name": Wrong(entered(faults.inject, "a b", error=OSError), "target", "character 2 is ' '"),
    "inject target": Wrong(entered(faults.inject, 5, error=OSError), "target", "or the handle of a target"),
    "inject error": Wrong(entered(faults.inject, "t", error=KeyboardInterrupt), "error", "takes a message"),
    "inject seed": Wrong(entered(faults.inject, "t", error=OSError, seed=[1]), "seed", "must be an integer"),
    "force_open name": Wrong(entered(force_open, "a b"), "target", "target='a b' must be"),
    "force_open target": Wrong(entered(force_open, 5), "target", "it is no text"),
    "with_params": Wrong(
        entered(with_params, "t", retry={"max_attempts": {1}}), "sections", "by section and"
    ),
    "published state": Wrong(
        entered(published, "t", 5), "state", "must be one of closed, .*, or a CircuitState"
    ),
    "published share": Wrong(
        entered(published, "t", "open", probe_ratio=5), "probe_ratio", r"in \[0.01, 1\]"
    ),
    "published close": Wrong(entered(published, "t", "open", close_after="x"), "close_after", r"\[1, 100\]"),
    "published lasts": Wrong(entered(published, "t", "open", lasts_s="9"), "lasts_s", "seconds from now"),
    "clock start": Wrong(entered(controlled_clock, "noon"), "start", "start='noon' must be epoch seconds"),
    "clock draw": Wrong(entered(controlled_clock, draw=1.0), "draw", r"a number in \[0, 1\)"),
    "explain calls": Wrong(explained(calls_per_s=-1), "calls_per_s", "calls_per_s=-1 must be calls of one"),
    "explain text": Wrong(explained(calls_per_s="2"), "calls_per_s", "calls_per_s='2' must be"),
    "explain time": Wrong(explained(function_timeout_s=float("nan")), "function_timeout_s", "seconds, > 0"),
    "CallableSink": Wrong(lambda _: CallableSink(5), "function", "function=5 must be a function of a letter"),  # type: ignore[arg-type]
    "FileSink": Wrong(lambda _: FileSink(5), "path", "path=5 must be the path of a file"),  # type: ignore[arg-type]
    "SqsSink": Wrong(lambda _: SqsSink("dead"), "queue_url", "must be the URL of a queue"),
    "DeadLetter payload": Wrong(lambda _: DeadLetter(SINK, payload=5), "payload", "the name of an argument"),  # type: ignore[arg-type]
    "DeadLetter required": Wrong(lambda _: DeadLetter(SINK, required="no"), "required", "True or False"),  # type: ignore[arg-type]
    "Agent name": Wrong(
        lambda _: AgentDocuments("a", "", "c"), "environment", "environment='' must be a name"
    ),
    "Agent port": Wrong(lambda _: AgentDocuments("a", "b", "c", port=0), "port", "port=0 must be a TCP port"),
    "Agent time": Wrong(lambda _: AgentDocuments("a", "b", "c", timeout_s=0), "timeout_s", "must be seconds"),
    "Agent variable": Wrong(
        lambda _: agent_port({"AWS_APPCONFIG_EXTENSION_HTTP_PORT": "x"}),
        "AWS_APPCONFIG_EXTENSION_HTTP_PORT",
        "='x' must be a TCP port",
    ),
    # the SDK would refuse it, at every read, and nobody would hear of it
    "poll_s": Wrong(lambda _: AppConfigDataDocuments("a", "b", "c", poll_s=60.0), "poll_s", "an integer"),  # type: ignore[arg-type]
    "table": Wrong(
        lambda _: DynamoCircuits(table=""), "table", "table='' must be the name of a DynamoDB table"
    ),
    "meter": Wrong(lambda _: OpenTelemetry(5), "meter", "meter=5 must be a meter"),  # type: ignore[arg-type]
    "obey client": Wrong(
        lambda w: botocore.obey(5, w.target()), "client", "client=5 must be a client of boto3"
    ),  # type: ignore[arg-type]
    "obey handle": Wrong(lambda _: botocore.obey(client(), "t"), "handle", "handle='t' must be the handle"),  # type: ignore[arg-type]
    "obey names": Wrong(lambda w: botocore.obey(client(), w.target(), idempotent=5), "idempotent", "GetItem"),  # type: ignore[arg-type]
    "tenacity": Wrong(lambda _: tenacity.obey("t"), "handle", "handle='t' must be the handle of a target"),  # type: ignore[arg-type]
    "tenacity word": Wrong(lambda w: tenacity.obey(w.target(), idempotent="no"), "idempotent", "True, False"),  # type: ignore[arg-type]
    "stamina": Wrong(lambda _: stamina.retry("t"), "handle", "must be the handle of a target"),  # type: ignore[arg-type]
    "stamina function": Wrong(lambda w: stamina.retry(w.target())(5), "function", "5 is no function"),  # type: ignore[type-var]
    "powertools": Wrong(
        lambda w: powertools.live_config(w.target(), cache_age_s=1.5), "cache_age_s", "whole"
    ),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_a_wrong_argument_is_refused_where_it_is_given(case):
    """Not by an AttributeError of ours, not in the first outage, and never in silence."""
    wrong = WRONG[case]
    with pytest.raises(SettingsError, match=wrong.text) as caught:
        wrong.do(World())
    assert caught.value.field == wrong.field


def test_a_metric_that_does_not_exist_has_no_sum():
    """`assert captured.metric("retrys") == 0` would hold whatever happened."""
    world = World()
    with (
        capture(within=world.runtime) as captured,
        pytest.raises(SettingsError, match="did you mean 'retries'"),
    ):
        captured.metric("retrys")


def test_the_bounds_of_a_document_hold_for_parameters_of_a_test():
    """They are read as strictly as a publisher's."""
    world = World()
    with pytest.raises(ContractError, match=r"must be an integer in \[1, 4\]"):
        entered(with_params, "t", retry={"max_attempts": 99})(world)


@pytest.mark.parametrize("arguments", [["a b"], ["t", "--calls-per-s", "-1"]])
def test_explain_answers_a_wrong_argument_in_words(arguments, capsys):
    """On the command line a traceback is no answer."""
    before = configure(Runtime(write=lambda line: None))
    try:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    finally:
        configure(before)
    assert ended.value.code == 2
    assert "must be" in capsys.readouterr().err
