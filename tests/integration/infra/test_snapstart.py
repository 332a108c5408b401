"""The alarm function from a snapshot (fidelity: emulator; Lambda's restoring itself is not emulated)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flyball_local.template import TemplateError
from integration.infra_world import World

from integration.infra.test_events import alarm_event  # isort: skip


def test_a_named_deployment_is_published_and_the_queue_calls_its_alias():
    """Lambda restores published versions only: a queue that calls the function itself starts it cold."""
    world = World(EnableTick="false", EnableClientAlarms="false", SnapStart="3f2a1c")
    (version,) = world.stack.of_type("AWS::Lambda::Version").values()
    (alias,) = world.stack.of_type("AWS::Lambda::Alias").values()
    (mapping,) = world.stack.of_type("AWS::Lambda::EventSourceMapping").values()
    assert version == {"FunctionName": "flyball-alarm", "Description": "3f2a1c"}
    assert alias == {"FunctionName": "flyball-alarm", "FunctionVersion": "1", "Name": "live"}
    assert mapping["FunctionName"].endswith(":function:flyball-alarm:live")
    assert world.stack.properties["AlarmFunction"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    world.minutes(1)
    world.aws.bus.put(alarm_event())
    world.clock.advance(5.0)
    assert world.invocations("AlarmFunction") == 1


def test_without_a_name_nothing_is_published():
    """The price of a snapshot is per hour, whether it is used or not."""
    world = World()
    assert not world.stack.of_type("AWS::Lambda::Version")
    (mapping,) = world.stack.of_type("AWS::Lambda::EventSourceMapping").values()
    assert mapping["FunctionName"] == "flyball-alarm"
    assert world.stack.properties["AlarmFunction"]["SnapStart"] == {"ApplyOn": "None"}
    assert all("SnapStart" not in f or f["SnapStart"]["ApplyOn"] == "None"
               for f in world.stack.of_type("AWS::Lambda::Function").values())  # fmt: skip


def test_a_runtime_that_lambda_does_not_restore_is_refused():
    """CloudFormation would say so after ten minutes, and roll back."""
    with pytest.raises(TemplateError, match=r"Lambda restores Python from 3\.12 on"):
        World(SnapStart="3f2a1c", Runtime="python3.11")


def test_nothing_that_a_clone_must_not_share_is_made_before_the_first_event():
    """Restored environments share what was there at the snapshot: connections, clocks, random numbers."""
    code = (
        "import random; state = random.getstate(); "
        "from flyball_handlers import alarm, wiring; import sys; "
        "assert wiring._current is None; "  # no runtime: no client, no connection, no cached state
        "assert random.getstate() == state; "
        "import boto3; assert boto3.DEFAULT_SESSION is None"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
