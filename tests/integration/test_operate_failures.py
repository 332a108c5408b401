"""Operating when things fail: half-done acts, races, edits found by the tick (fidelity: emulator)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from flyball.contract import RetryParams, TargetParams, encode_document
from flyball_analytics.cli.errors import BackendError
from flyball_analytics.cli.kill_switch import switch
from flyball_analytics.fleet_status import read_circuits
from flyball_analytics.installation import Installation, open_installation
from flyball_analytics.shadow import shadow_report
from flyball_controller.aws.operator_publisher import OperatorPublisher
from flyball_controller.policy_set import load_preset
from flyball_controller.policy_store import put_in_force, read_pointer
from flyball_controller.ports import PortError
from integration.operator_world import World, operator_world

BOTH = ("payments", "orders")
LESS = "defaults: {budget_nominal: 0.1}\n"
WHY = ("--reason", "INC-1", "--by", "nora")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A controller with two healthy targets."""
    with operator_world(tmp_path) as world:
        world.controller("two-loop", *BOTH)
        world.tick(2, calling=BOTH)
        yield world


def plan(world: World, text: str = LESS) -> str:
    """Plan a policy; return the path of the plan."""
    assert world.run("plan", world.policy(text), "--out", world.file("plan.json")).exit_code == 3
    return world.file("plan.json")


def edit(world: World, target: str) -> None:
    """Change a target's attempts in the document, by hand."""
    standing = world.document()
    targets = {**standing.targets, target: TargetParams(retry=RetryParams(max_attempts=2))}
    world.deploy_by_hand(encode_document(standing._replace(targets=targets, revision=standing.revision + 1)))


def installation(world: World) -> Installation:
    """The installation as the command line opens it."""
    return open_installation(world.resources.variables, clients=world.clients)


class Away:
    """A client whose calls of some operations fail as if the service were away; the rest go through."""

    def __init__(self, client: Any, *operations: str) -> None:
        self._client = client
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        return self._fail if name in self._operations else getattr(self._client, name)

    def _fail(self, **_: object) -> Any:
        raise EndpointConnectionError(endpoint_url="https://away.invalid")


def test_the_tick_says_once_that_somebody_edited_and_keeps_off(world):
    """Log, metric and journal: the person who looks in the morning finds who is in charge of what."""
    edit(world, "payments")
    world.tick(3, calling=BOTH)
    assert world.document().targets["payments"].retry.max_attempts == 2
    assert world.telemetry.totals["configuration_edits"] == 1
    assert world.telemetry.totals["targets_edited"] == 3  # each round says how many are left alone
    (line,) = [
        record for record in world.journal("payments") if record.get("event") == "CONFIGURATION_EDITED"
    ]
    assert line["detail"].startswith("changed by somebody else")
    status = world.run("status").stdout
    assert "changed by hand in the document, left alone: payments" in status


def test_an_edit_that_cannot_be_journalled_is_logged(world):
    """The journal's table may be what is away."""
    edit(world, "payments")
    real = world.runtime.ports.journal

    class Broken:
        """Refuses edits only."""

        def append(self, records: Any) -> None:
            if any(record.get("event") == "CONFIGURATION_EDITED" for record in records):
                raise PortError("away", backend="dynamodb", retryable=True)
            real.append(records)

    object.__setattr__(world.runtime, "ports", world.runtime.ports._replace(journal=Broken()))
    world.tick(1, calling=BOTH)
    assert world.telemetry.totals["configuration_edits"] == 1
    assert not [r for r in world.journal("payments") if r.get("event") == "CONFIGURATION_EDITED"]


def test_what_is_done_counts_also_if_the_journal_is_away(world):
    """In an incident the act matters; that it was not written down is said."""
    path = plan(world)
    world.clients.__dict__["dynamodb"] = Away(world.clients.dynamodb, "batch_write_item")
    result = world.run("apply", path)
    assert result.exit_code == 0
    assert "not in the journal" in result.stderr
    assert "in force from the next round on" in result.stdout
    assert "back: flyball rollback --policy" in result.stdout


def test_a_policy_in_force_whose_document_failed_is_said_to_be_in_force(world):
    """The next round publishes by it; applying again would be refused as stale."""
    path = plan(world)
    world.clients.__dict__["appconfig"] = Away(world.clients.appconfig, "create_hosted_configuration_version")
    result = world.run("apply", path)
    assert result.exit_code == 5
    assert "the policy is in force, and the next round will publish by it" in result.stderr
    del world.clients.__dict__["appconfig"]
    world.tick(2, calling=BOTH)
    assert world.document().targets["payments"].retry.budget_ratio == 0.1


def test_a_take_over_that_failed_leaves_the_edits_to_their_author(world):
    """Nothing was deployed: the controller must not overwrite what the person sees standing."""
    edit(world, "payments")
    path = plan(world)
    world.clients.__dict__["appconfig"] = Away(world.clients.appconfig, "create_hosted_configuration_version")
    assert world.run("apply", path, "--take-over").exit_code == 5
    del world.clients.__dict__["appconfig"]
    world.tick(3, calling=BOTH)
    assert world.document().targets["payments"].retry.max_attempts == 2


def test_taking_over_an_edit_that_was_undone_deploys_nothing(world):
    """Only the record changes: the target is the controller's again."""
    before = world.document()
    edit(world, "payments")
    world.tick(1, calling=BOTH)
    world.deploy_by_hand(encode_document(before._replace(revision=9)))
    plain = world.json("plan", "two-loop", "--out", world.file("p.json"), code=3)
    assert (plain["edited"], plain["document_changes"]) == (["payments"], [])
    done = world.json("apply", world.file("p.json"), "--take-over")
    assert (done["document"], done["policy_number"]) == ("unchanged", 0)
    assert world.run("plan", "two-loop").exit_code == 0


def publisher(world: World) -> OperatorPublisher:
    """The publisher for people."""
    found = installation(world).publisher
    assert found is not None
    return found


def test_the_publisher_for_people_deploys_only_over_what_they_saw(world):
    """The last look and the write are one: a document that slipped in between stays."""
    hands, now_s = publisher(world), world.clock.now_s()
    live = hands.live(now_s=now_s)
    assert live.document is not None
    report = hands.deploy(live.document, over="another", edited=(), now_s=now_s)
    assert (report.status.code, report.revision) == ("stale", 1)
    same = hands.deploy(live.document, over=live.content, edited=(), now_s=now_s)
    assert (same.status.code, same.revision) == ("unchanged", 1)


def test_a_document_that_no_client_would_obey_is_refused_before_anything_is_written(world):
    """A1 holds for people too."""
    hands, now_s = publisher(world), world.clock.now_s()
    live = hands.live(now_s=now_s)
    assert live.document is not None
    wrong = live.document._replace(targets={"a": TargetParams(retry=RetryParams(max_attempts=99))})
    report = hands.deploy(wrong, over=live.content, edited=(), now_s=now_s)
    assert (report.status.code, "refused before anything was written" in report.detail) == ("failed", True)


def test_a_record_that_controllers_keep_writing_is_given_up_on(world):
    """Never a document without its record: the controller would take it for somebody's edit."""
    hands, now_s = publisher(world), world.clock.now_s()
    live = hands.live(now_s=now_s)
    assert live.document is not None
    other = live.document._replace(targets={})
    hands._save = lambda *_, **__: None
    report = hands.deploy(other, over=live.content, edited=(), now_s=now_s)
    assert report.status.code == "in_flight"
    assert world.document().targets.keys() == set(BOTH)


def test_a_rollback_skips_versions_that_were_deleted(world):
    """What is gone cannot be gone back to."""
    world.json("apply", plan(world))
    world.clock.advance(60.0)
    world.json("apply", plan(world, "defaults: {budget_nominal: 0.05}\n"))
    world.clock.advance(60.0)
    ids = world.resources.config
    world.aws.client("appconfig").delete_hosted_configuration_version(
        ApplicationId=ids.application_id, ConfigurationProfileId=ids.profile_id, VersionNumber=2
    )
    assert world.json("rollback", "--dry-run", code=3)["to_content_of_revision"] == 1


def test_a_rollback_is_refused_while_a_deployment_is_in_flight(world):
    """AppConfig takes one at a time."""
    world.json("apply", plan(world))
    result = world.run("rollback")
    assert (result.exit_code, "still deploying something" in result.stderr) == (5, True)


def test_a_rollback_says_in_words_what_it_did(world):
    """What changed, which policy, and what the controllers leave alone."""
    world.json("apply", plan(world))
    world.clock.advance(60.0)
    text = world.run("rollback", *WHY).stdout
    assert "revision 3 has the content of revision 1; before: 2" in text
    assert "policy: back to the controllers' own" in text
    world.tick(12, calling=BOTH)
    world.tick(4, calling=["orders"], failing=["payments"])
    world.clock.advance(15.0)
    assert "controllers leave alone, until taken over: payments" in world.run("rollback").stdout


def test_a_policy_applied_during_a_rollback_wins(world):
    """Two people in one incident: the second has not seen the first."""
    world.json("apply", plan(world))
    world.clock.advance(60.0)
    place, now_s = installation(world), world.clock.now_s()
    from flyball_analytics.cli.apply import RefusedError
    from flyball_analytics.cli.rollback import go_back, way_back

    way = way_back(place, policy=True, now_s=now_s)
    pointer = read_pointer(place.checkpoints)
    put_in_force(place.checkpoints, load_preset("ladder"), after=pointer, by="omar", why="", now_s=now_s)
    with pytest.raises(RefusedError, match="applied by omar meanwhile"):
        go_back(place, way, by="nora", why="", now_s=now_s)


def test_no_document_means_no_way_back(tmp_path):
    """An installation that has published nothing yet."""
    with operator_world(tmp_path) as world:
        result = world.run("rollback")
    assert (result.exit_code, "no document stands" in result.stderr) == (4, True)


def test_the_kill_switch_in_words(world):
    """The person must know how it ends."""
    text = world.run("kill-switch", "on", *WHY).stdout
    assert "on until 2026-01-05T01:02:00Z" in text
    assert "end it early: flyball kill-switch off" in text
    assert (
        "KILL SWITCH ON, 1 h more: all clients are on their defaults (nora: INC-1)"
        in world.run("status").stdout
    )
    assert "obey circuits and document again" in world.run("kill-switch", "off", *WHY).stdout
    assert world.json("kill-switch", "on", *WHY)["on"] is True


def test_two_people_who_switch_at_once_are_told(world):
    """One of them must look again, not believe."""
    place, now_s = installation(world), world.clock.now_s()
    real = place.circuits

    class Overtaken:
        """Somebody switches between our look and our write."""

        read = real.read

        def publish(self, circuit: Any) -> bool:
            real.publish(circuit._replace(version=circuit.version + 5))
            return real.publish(circuit)

    place.__dict__["circuits"] = Overtaken()
    with pytest.raises(BackendError, match="somebody else switched at this moment"):
        switch(place, on=True, for_s=60.0, words="nora: x", now_s=now_s)


def test_a_hold_whose_round_failed_is_said_to_wait_for_the_tick(world):
    """It is stored; claiming more would be a lie."""
    world.clients.__dict__["dynamodb"] = Away(world.clients.dynamodb, "batch_write_item")
    result = world.run("circuit", "open", "payments", "--for", "5m", "--direct", *WHY)
    assert result.exit_code == 0
    assert "in force from the next tick on" in result.stdout
    assert "journal:" in result.stderr


def test_a_hold_by_hand_needs_to_know_the_policy(world):
    """Deciding under another policy than the controllers' would be a decision of nobody."""
    policy = world.policy(LESS)
    world.controller(policy, *BOTH)
    world.tick(2, calling=BOTH)
    world.variables = world.resources.variables
    result = world.run("circuit", "open", "payments", "--for", "5m", "--direct", *WHY)
    assert (result.exit_code, "set FLYBALL_POLICY" in result.stderr) == (5, True)
    shadow = world.run("shadow")
    assert (shadow.exit_code, "set FLYBALL_POLICY" in shadow.stderr) == (5, True)
    assert "of the controllers' own, not known" in world.run("status").stdout
    assert "the controllers' own, not known here" in world.run("plan", "ladder").stdout.replace(
        "of the controllers' own, not known", "the controllers' own, not known here"
    )


def test_a_function_that_answers_nonsense_is_a_backend_error(world):
    """A proxy's page, say."""
    import io

    world.lambda_.invoke = lambda **_: {"Payload": io.BytesIO(b"<html>")}
    result = world.run("circuit", "open", "payments", "--for", "5m", *WHY)
    assert (result.exit_code, "answered no object" in result.stderr) == (5, True)


def test_a_round_that_failed_inside_the_function_is_passed_on(world):
    """The function stores the hold and says what it could not do."""
    answer = {
        "hold": "FORCE_OPEN",
        "until_s": world.clock.now_s() + 300.0,
        "circuit": None,
        "effective": False,
        "published": True,
    }
    import io
    import json

    world.lambda_.invoke = lambda **_: {"Payload": io.BytesIO(json.dumps(answer).encode())}
    result = world.run("circuit", "open", "payments", "--for", "5m", *WHY)
    assert "in force from the next tick on" in result.stdout


def test_circuits_that_cannot_be_read_are_a_backend_error_and_damaged_ones_none(world):
    """No client obeys what it cannot understand (K4), so status must not show it."""
    place = installation(world)
    world.aws.client("dynamodb").put_item(
        TableName="flyball-circuits",
        Item={"target": {"S": "payments"}, "function": {"S": "*"}, "state": {"S": "?"}},
    )
    assert read_circuits(place, ["payments"]) == {}
    place.clients.__dict__["dynamodb"] = Away(world.clients.dynamodb, "batch_get_item")
    with pytest.raises(PortError, match="cannot read flyball-circuits"):
        read_circuits(place, ["payments"])


def test_a_damaged_state_is_shown_as_none(world):
    """The controller resets it at its next round."""
    client = world.aws.client("dynamodb")
    item = client.get_item(TableName="flyball-state", Key={"key": {"S": "payments"}})["Item"]
    client.put_item(TableName="flyball-state", Item={**item, "b": {"B": b"x"}})
    (found,) = world.json("status", "payments")["targets"]
    assert (found["regime"], found["stale"]) == ("?", True)


def test_status_of_nothing_says_how_to_name_targets(tmp_path):
    """An installation whose targets only its function knows."""
    with operator_world(tmp_path) as world:
        assert "no targets: name them, or set FLYBALL_TARGETS" in world.run("status").stdout


def test_records_that_are_no_decision_are_counted_not_guessed():
    """A journal is written by several releases."""
    policy = load_preset("two-loop").default
    good = {
        "changed": True,
        "urgent": True,
        "shadow": True,
        "at_s": 40.0,
        "sequence": 7,
        "regime": "DEAD",
        "applied": {"max_attempts": 4, "budget_ratio": 0.0, "circuit": "OPEN"},
        "evidence": [],
    }
    records = [{"event": "X"}, {"changed": True}, {**good, "applied": 3}, good, {**good, "state": "?"}]
    report = shadow_report(records, policy, target="a", since_s=0.0, until_s=100.0)
    assert (len(report.steps), report.unreadable, report.tightened) == (2, 2, 2)
    # Nominal for 40 s; open from then on, for the rest of the 100 s.
    assert (report.restricted_s, report.open_s) == (60.0, 60.0)
    assert report.steps[0].reason == ""


def test_more_than_nominal_under_an_earlier_policy_is_no_restriction():
    """A policy that lowered the budget since must not make the past look bad."""
    policy = load_preset("two-loop").default
    applied = {"max_attempts": 4, "budget_ratio": 0.3, "circuit": "CLOSED"}
    record = {
        "changed": True,
        "at_s": 40.0,
        "sequence": 7,
        "regime": "NOMINAL",
        "applied": applied,
        "evidence": [],
    }
    assert shadow_report([record], policy, target="a", since_s=0.0, until_s=100.0).restricted_s == 0.0


def test_without_appconfig_s_answer_status_and_holds_work_all_the_same(world):
    """It is away exactly when somebody looks."""
    world.clients.__dict__["appconfig"] = Away(world.clients.appconfig, "list_deployments")
    result = world.run("status", *BOTH)
    assert result.exit_code == 0
    assert "the document could not be read" in result.stdout
    assert [row["regime"] for row in world.json("status", *BOTH)["targets"]] == ["nominal", "nominal"]
    held = world.run("circuit", "open", "payments", "--for", "5m", "--direct", *WHY)
    assert held.exit_code == 0
    assert "will not be published" in held.stderr
    item = world.circuit("payments")
    assert item is not None
    assert item["state"] == {"S": "forced_open"}


def test_whoever_may_not_list_applications_is_told_of_the_option(world):
    """The operators' policy cannot allow it: AppConfig lists all or nothing."""
    world.variables = {k: v for k, v in world.variables.items() if "APPCONFIG" not in k}
    world.clients.__dict__["appconfig"] = Away(world.clients.appconfig, "list_applications")
    result = world.run("plan", "two-loop")
    assert (result.exit_code, "give --appconfig" in result.stderr) == (5, True)


def test_on_and_off_in_one_second_ends_off(world):
    """Whoever switches on by mistake switches off at once; a clock of whole seconds must not lose that."""
    now_s = world.clock.now_s()
    for position in ("on", "off", "on", "off"):
        assert world.run("kill-switch", position, *WHY, at_s=now_s).exit_code == 0
    assert world.json("status")["kill_switch_until_s"] is None


def test_what_nothing_could_derive_again_never_expires(world):
    """A record or a policy that vanished after two quiet days would take people's edits with it."""
    world.json("apply", plan(world))
    client = world.aws.client("dynamodb")
    kept = ["#publisher", "#policy", f"#policy/{world.json('plan', world.file('fleet.yaml'))['policy_hash']}"]
    for key in (*kept, "payments"):
        item = client.get_item(TableName="flyball-state", Key={"key": {"S": key}})["Item"]
        assert ("expires" in item) == (key not in kept), key
