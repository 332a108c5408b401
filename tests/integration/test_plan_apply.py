"""Plan, apply and rollback from the command line on an embedded account (fidelity: emulator)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from flyball.contract import RetryParams, TargetParams, encode_document
from flyball_analytics.cli import cli
from flyball_handlers.rounds import NotAcknowledgedError
from integration.operator_world import World, operator_world

BOTH = ("payments", "orders")
LESS = (
    "defaults: {budget_nominal: 0.1}\ntargets:\n  orders: {mode: shadow}\n  payments: {attempts_nominal: 3}\n"
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A controller with two targets, both healthy, under the shipped policy."""
    with operator_world(tmp_path) as world:
        world.controller("two-loop", *BOTH)
        world.tick(2, calling=BOTH)
        yield world


def plan(world: World, text: str, name: str = "plan.json") -> str:
    """Plan a policy; return the path of the plan."""
    result = world.run("plan", world.policy(text), "--out", world.file(name))
    assert result.exit_code == 3, result.output
    return world.file(name)


def edit(world: World, target: str, attempts: int = 2) -> None:
    """Change a target's attempts in the document, by hand."""
    standing = world.document()
    targets = {**standing.targets, target: TargetParams(retry=RetryParams(max_attempts=attempts))}
    document = standing._replace(targets=targets, revision=standing.revision + 1)
    world.deploy_by_hand(encode_document(document))


def test_a_plan_of_the_policy_in_force_changes_nothing(world):
    """Exit code 0 is what a pipeline waits for."""
    result = world.run("plan", "two-loop")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "nothing would change")


def test_a_plan_shows_policy_and_document_in_one_screen(world):
    """Both are read before anything is applied; nothing is written by looking."""
    before = world.document()
    result = world.run("plan", world.policy(LESS))
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        "in force: two-loop (11cd37623699cc58); document revision 1".replace(
            "11cd37623699cc58", world.runtime.policies.hash
        ),
        *result.stdout.splitlines()[1:2],
        "policy:",
        "  ~ all targets: budget_nominal 0.2 -> 0.1",
        "  ~ orders: mode active -> shadow; budget_nominal 0.2 -> 0.1",
        "  ~ payments: attempts_nominal 4 -> 3; budget_nominal 0.2 -> 0.1",
        "document:",
        "  - orders: clients use the document's defaults",
        "  ~ payments: retry.max_attempts 4 -> 3; retry.budget_ratio 0.2 -> 0.1",
        "next: the same with --out plan.json, then flyball apply plan.json",
    ]
    assert world.document() == before


def test_an_applied_plan_is_what_the_controllers_do_from_the_next_round_on(world):
    """The document that was shown is the one that the controller would have made."""
    done = world.json("apply", plan(world, LESS), "--by", "nora", "--reason", "less load")
    assert (done["document"], done["revision"], done["policy_number"]) == ("deployed", 2, 1)
    world.tick(3, calling=BOTH)
    assert world.runtime.policies.hash == done["policy_hash"]
    document = world.document()
    assert (document.revision, sorted(document.targets)) == (2, ["payments"])
    assert document.targets["payments"].retry.max_attempts == 3
    (line,) = world.journal("*")
    assert (line["event"], line["by"], line["why"]) == ("PLAN_APPLIED", "nora", "less load")
    assert world.run("plan", world.file("fleet.yaml")).exit_code == 0


def test_a_cold_controller_obeys_what_was_applied_and_not_its_bundle(world):
    """Else every new container would bring the old policy back."""
    done = world.json("apply", plan(world, LESS))
    world.clock.advance(60.0)
    world.controller("two-loop", *BOTH)
    world.tick(1, calling=BOTH)
    assert world.runtime.policies.hash == done["policy_hash"]


def test_a_policy_that_cannot_be_read_leaves_the_last_one_in_force(world):
    """A controller without any policy would protect nobody; it says so, and counts it."""
    world.json("apply", plan(world, LESS))
    client = world.aws.client("dynamodb")
    key = {"key": {"S": f"#policy/{world.json('plan', world.file('fleet.yaml'))['policy_hash']}"}}
    client.delete_item(TableName="flyball-state", Key=key)
    before = world.runtime.policies.hash
    world.tick(1, calling=BOTH)
    assert world.runtime.policies.hash == before
    assert world.telemetry.totals["policy_unreadable"] > 0
    assert world.telemetry.totals["backend_errors"] > 0  # an alarm watches it: a new container does nothing


def test_a_cold_controller_that_cannot_see_which_policy_holds_decides_nothing(world):
    """Its bundle would be a guess: what an operator had switched off would act again. Later it is read."""
    plain = world.json("apply", plan(world, LESS))
    key = {"key": {"S": f"#policy/{plain['policy_hash']}"}}
    client = world.aws.client("dynamodb")
    kept = client.get_item(TableName="flyball-state", Key=key)["Item"]
    client.delete_item(TableName="flyball-state", Key=key)
    world.controller("two-loop", *BOTH)
    world.clock.advance(60.0)  # what was applied is deployed
    before, decided = world.document(), world.telemetry.totals["decisions"]
    with pytest.raises(NotAcknowledgedError, match="round incomplete for orders, payments"):
        world.tick(6, failing=BOTH)
    assert world.document() == before
    assert world.telemetry.totals["decisions"] == decided
    client.put_item(TableName="flyball-state", Item=kept)
    world.tick(1, calling=BOTH)
    assert world.runtime.policies.hash == plain["policy_hash"]
    assert world.telemetry.totals["decisions"] > decided


def test_a_plan_over_another_policy_is_refused(world):
    """Two people plan, one applies: the other has not seen what stands now."""
    first, second = plan(world, LESS, "a.json"), plan(world, "defaults: {budget_nominal: 0.15}\n", "b.json")
    assert world.run("apply", first).exit_code == 0
    world.clock.advance(30.0)
    before = world.document()
    result = world.run("apply", second)
    assert result.exit_code == 1
    assert "the plan is stale: it was made over policy 0, and policy 1" in result.stderr
    assert world.document() == before


def test_a_plan_over_another_document_is_refused(world):
    """The controller itself may have tuned meanwhile; what the plan shows is no longer true."""
    made = plan(world, LESS)
    world.tick(4, calling=["orders"], failing=["payments"])
    assert world.document().revision > 1
    result = world.run("apply", made)
    assert result.exit_code == 1
    assert "the plan is stale: it was made over document revision 1" in result.stderr
    assert world.json("plan", "two-loop", code=0)["base"]["policy_number"] == 0


def test_a_plan_from_before_an_edit_by_hand_is_refused(world):
    """Whoever edits in the console at night has a reason; the plan did not show it."""
    made = plan(world, LESS)
    edit(world, "payments")
    result = world.run("apply", made, "--take-over")
    assert result.exit_code == 1
    assert "payments changed by hand in the document since the plan was made" in result.stderr
    assert world.document().targets["payments"].retry.max_attempts == 2


def test_an_edit_that_the_plan_showed_is_taken_over_only_if_told_so(world):
    """--take-over is the person's word that the edit may go."""
    edit(world, "payments")
    made = plan(world, LESS)
    shown = world.run("plan", "two-loop").stdout
    assert "changed by hand in the document, left alone since: payments" in shown
    refused = world.run("apply", made)
    assert refused.exit_code == 1
    assert "--take-over replaces these parameters" in refused.stderr
    done = world.json("apply", made, "--take-over")
    assert done["taken_over"] == ["payments"]
    world.tick(2, calling=BOTH)
    assert world.document().targets["payments"].retry.max_attempts == 3
    assert world.json("plan", world.file("fleet.yaml"))["edited"] == []


def test_a_plan_is_refused_while_appconfig_deploys(world):
    """AppConfig would answer with a conflict after the policy had changed."""
    made = plan(world, LESS)
    client = world.aws.client("appconfig")
    application, environment, profile, strategy = world.resources.config
    client.start_deployment(
        ApplicationId=application,
        EnvironmentId=environment,
        ConfigurationProfileId=profile,
        DeploymentStrategyId=strategy,
        ConfigurationVersion="1",
    )
    result = world.run("apply", made)
    assert result.exit_code == 5
    assert "still deploying something; nothing was changed" in result.stderr
    assert world.json("plan", "two-loop")["base"]["policy_number"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plain: plain["document"]["targets"].clear(), "was changed after it was made"),
        (lambda plain: plain.update(schema=99), "is no plan of version 1"),
    ],
    ids=["edited", "of another version"],
)
def test_a_plan_that_is_not_as_it_was_made_is_refused(world, change, words):
    """What is applied must be what was read."""
    path = Path(plan(world, LESS))
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))
    result = world.run("apply", str(path))
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_a_rollback_brings_policy_and_document_back_under_a_higher_revision(world):
    """Clients refuse lower revisions; the controllers must agree, or they would undo it in a minute."""
    before = world.document()
    world.json("apply", plan(world, LESS))
    world.tick(1, calling=BOTH)
    shown = world.json("rollback", "--dry-run", code=3)
    assert (shown["done"], shown["to_content_of_revision"]) == (False, 1)
    done = world.json("rollback", "--reason", "INC-1")
    assert (done["revision"], done["policy_hash"], done["left_alone"]) == (3, before.policy_hash, [])
    world.clock.advance(15.0)
    after = world.document()
    assert (after.revision, after.targets, after.policy_hash) == (3, before.targets, before.policy_hash)
    world.tick(12, calling=BOTH)
    assert world.runtime.policies.hash == before.policy_hash
    assert world.document().targets == before.targets
    assert [line["event"] for line in world.journal("*")] == ["PLAN_APPLIED", "ROLLED_BACK"]


def test_two_rollbacks_are_back_and_forth(world):
    """In an incident people go back too far; the way forward must be as short."""
    applied = world.json("apply", plan(world, LESS))
    world.clock.advance(60.0)
    world.json("rollback", "--policy")
    world.clock.advance(60.0)
    again = world.json("rollback", "--policy")
    assert again["policy_hash"] == applied["policy_hash"]
    world.tick(1, calling=BOTH)
    assert world.runtime.policies.hash == applied["policy_hash"]


def test_a_rollback_under_the_same_policy_keeps_the_controller_off(world):
    """It tuned this by the policy in force, and would do so again within a minute."""
    world.tick(4, calling=["orders"], failing=["payments"])
    tight = world.document()
    assert tight.targets["payments"].retry.budget_ratio == 0.0
    done = world.json("rollback")
    assert done["left_alone"] == ["payments"]
    world.tick(3, calling=["orders"], failing=["payments"])
    assert world.document().targets["payments"].retry.budget_ratio == 0.2
    item = world.circuit("payments")
    assert item is not None
    assert item["budget_ratio"] == {"N": "0"}  # what expires by itself still protects


def test_there_is_no_way_back_from_the_first_document(world):
    """Said plainly, with the code for 'not enough data'."""
    result = world.run("rollback")
    assert result.exit_code == 4
    assert "no earlier document is kept" in result.stderr


def test_an_installation_without_appconfig_applies_the_policy_alone(world):
    """Circuits carry the decisions there."""
    names = {name: "" for name in world.variables if name.startswith("FLYBALL_APPCONFIG")}
    path = world.file("p.json")
    elsewhere = ("--prefix", "other")  # the tables are named by variables; no profile of that name exists
    assert world.run("plan", world.policy(LESS), "--out", path, *elsewhere, **names).exit_code == 3
    result = world.run("apply", path, *elsewhere, **names)
    assert result.exit_code == 0, result.output
    assert "the installation has no AppConfig profile" in result.stdout
    world.tick(1, calling=BOTH)
    assert world.runtime.policies.name == "fleet"


def test_the_profile_is_found_by_the_names_that_the_template_gives(world):
    """Four ids that nobody knows by heart should not stand between a person and a rollback."""
    names = {name: "" for name in world.variables if name.startswith("FLYBALL_APPCONFIG")}
    assert "document revision 1" in world.run("plan", "two-loop", **names).stdout


def test_the_command_line_reaches_an_account_over_http(world):
    """What the other tests leave out: clients of its own, from options and the environment."""
    with world.aws.serve() as served:
        result = CliRunner().invoke(
            cli, ["plan", "two-loop"], env={**served.variables, **world.variables}, catch_exceptions=False
        )
    assert (result.exit_code, "nothing would change" in result.stdout) == (0, True)


def test_the_stack_s_output_says_where_the_document_is(world):
    """Nobody should have to take four ids apart."""
    names = {name: "" for name in world.variables if name.startswith("FLYBALL_APPCONFIG")}
    ids = "/".join(world.resources.config)
    result = world.run("plan", "two-loop", "--appconfig", ids, **names)
    assert (result.exit_code, "document revision 1" in result.stdout) == (0, True)
    wrong = world.run("plan", "two-loop", "--appconfig", "a/b", **names)
    assert (wrong.exit_code, "APPLICATION/ENVIRONMENT/PROFILE/STRATEGY" in wrong.stderr) == (2, True)


def test_a_misspelt_variable_is_an_error_and_not_another_installation(world):
    """The default table of that name may exist, and be production."""
    result = world.run("plan", "two-loop", FLYBALL_STATE_TABEL="x")
    assert result.exit_code == 2
    assert "did you mean 'FLYBALL_STATE_TABLE'?" in result.stderr
