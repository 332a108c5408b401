"""How much of the document's 64 KiB a fleet takes, and what is said about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from flyball.contract import DOCUMENT_BYTES_MAX, Document, TargetParams, encode_document
from flyball_analytics import checkup
from flyball_analytics.cli import cli
from flyball_analytics.installation import OTHERS, open_installation
from flyball_controller.aws.settings import APPCONFIG_VARIABLES
from flyball_controller.document_room import Room, room_of, room_of_policies
from flyball_controller.policy_file import load_policy
from integration.operator_world import operator_world

# "target-NNNN" in the two-loop preset takes 342 bytes with its comma; 191 of them fit.
FEW, MANY, TOO_MANY = 100, 160, 200


def policy(folder: Path, count: int, *, mode: str = "active") -> str:
    """A policy file that names so many targets."""
    path = folder / "fleet.yaml"
    lines = "".join(f"  target-{number:04d}: {{mode: {mode}}}\n" for number in range(count))
    path.write_text(f"version: 1\npreset: two-loop\ntargets:\n{lines}")
    return str(path)


def run(*arguments: str) -> Result:
    """The command line."""
    return CliRunner().invoke(cli, arguments)


@given(count=st.integers(0, 170), revision=st.integers(0, 2**53 - 1))
def test_the_room_is_what_the_encoder_writes(count, revision):
    """Counted in pieces, because the encoder refuses the very documents that matter."""
    document = Document(revision, "", "p", {f"t{number}": TargetParams() for number in range(count)})
    assert room_of(document) == Room(count, len(encode_document(document)))


def test_a_document_that_no_encoder_writes_has_a_size_too(tmp_path):
    """The number is what a plan's reader needs to know how far over it is."""
    room = room_of_policies(load_policy(policy(tmp_path, 2 * TOO_MANY)))
    half = room_of_policies(load_policy(policy(tmp_path, TOO_MANY)))
    assert room.targets == 400
    assert not half.fits
    assert room.size_bytes == pytest.approx(2 * half.size_bytes, rel=0.01)
    assert room.targets_max == pytest.approx(half.targets_max, abs=1)


def test_targets_in_shadow_take_no_room(tmp_path):
    """Their clients are told nothing."""
    assert room_of_policies(load_policy(policy(tmp_path, TOO_MANY, mode="shadow"))).targets == 0


def test_targets_of_the_installation_count_beside_those_of_the_policy(tmp_path):
    """FLYBALL_TARGETS may name what no policy names."""
    room = room_of_policies(load_policy(policy(tmp_path, 2)), ["target-0001", "other"])
    assert room.targets == 3


@pytest.mark.parametrize(
    ("size", "fits", "tight"),
    [
        (52_428, True, False),
        (52_429, True, True),  # 80 % of 65,536 is 52,428.8
        (DOCUMENT_BYTES_MAX, True, True),
        (DOCUMENT_BYTES_MAX + 1, False, True),
    ],
)
def test_both_limits_are_exact(size, fits, tight):
    """The limit itself is still accepted by every reader."""
    room = Room(100, size)
    assert (room.fits, room.tight) == (fits, tight)


@pytest.mark.parametrize(
    ("count", "code", "said"), [(FEW, 0, ""), (MANY, 0, "warning"), (TOO_MANY, 1, "over")]
)
def test_validate_warns_and_refuses(tmp_path, count, code, said):
    """A policy is read by people before it is deployed; an installation that chokes on it is not."""
    result = run("validate", policy(tmp_path, count))
    assert result.exit_code == code
    assert said in result.stderr
    assert bool(said) == ("docs/how-to/scale.md" in result.stderr)
    assert ("valid, " in result.stdout) == (code == 0)


def test_validate_accepts_any_number_for_an_installation_without_a_document(tmp_path):
    """Circuits alone have no such limit."""
    result = run("validate", policy(tmp_path, TOO_MANY), "--no-document", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)["document"]
    assert document["targets"] == TOO_MANY
    assert document["bytes"] > document["bytes_max"] == DOCUMENT_BYTES_MAX


def test_a_plan_that_nobody_could_publish_is_refused_and_not_written(tmp_path):
    """It was an internal error, after the policy had been read and before anything was said."""
    with operator_world(tmp_path) as world:
        world.controller("two-loop", "payments")
        world.tick(1, calling=("payments",))
        refused = world.run("plan", policy(tmp_path, TOO_MANY), "--out", world.file("plan.json"))
        assert refused.exit_code == 1
        assert "of 201 targets" in refused.stderr  # the document's own target counts
        assert not Path(world.file("plan.json")).exists()
        tight = world.run("plan", policy(tmp_path, MANY), "--out", world.file("plan.json"))
        assert tight.exit_code == 3
        assert "flyball: warning: " in tight.stderr
        assert Path(world.file("plan.json")).exists()


@pytest.mark.parametrize(
    ("count", "state"),
    [(FEW, checkup.State.OK), (MANY, checkup.State.WARN), (TOO_MANY, checkup.State.FAIL)],
)
def test_the_doctor_says_it_of_a_policy_file(tmp_path, count, state):
    """Whoever looks for what is wrong looks here."""
    finding = checkup.policy_file(Path(policy(tmp_path, count)))
    assert finding.state == state
    assert bool(finding.remedy) == (state != checkup.State.OK)


def test_the_doctor_says_it_of_the_document_that_stands(tmp_path):
    """A fleet grows without anybody planning it."""
    with operator_world(tmp_path) as world:
        names = [f"target-{number:04d}" for number in range(MANY)]
        world.controller("two-loop", *names)
        world.tick(1, calling=names[:1])
        environ = {name: value for name, value in world.variables.items() if value and name not in OTHERS}
        installation = open_installation(environ, clients=world.clients)
        finding = checkup.installed(installation, now_s=world.clock.now_s())[-1]
    assert (finding.check, finding.state) == ("document", checkup.State.WARN)
    assert finding.says.startswith(f"{MANY} targets; the document of {MANY} targets takes ")
    assert "docs/how-to/scale.md" in finding.remedy


def test_a_plan_for_an_installation_without_a_document_takes_any_number_of_targets(tmp_path):
    """The plan held the document that nobody publishes, and was an internal error when that was too large."""
    with operator_world(tmp_path) as world:
        world.controller("two-loop", "payments")
        none = dict.fromkeys(APPCONFIG_VARIABLES.values(), "")
        path = world.file("plan.json")
        planned = world.run("plan", policy(tmp_path, TOO_MANY), "--out", path, "--prefix", "none", **none)
        assert planned.exit_code == 3, planned.output
        applied = world.run("apply", path, "--prefix", "none", **none)
        assert applied.exit_code == 0, applied.output
        assert "the installation has no AppConfig profile" in applied.stdout
