"""AppConfig's calls one by one: pages, deleted versions, and lists of an older shape."""

from __future__ import annotations

import io
from typing import Any

import pytest

from flyball_controller.aws.appconfig_api import (
    DEPLOYMENT_PAGES_MAX,
    AppConfigApi,
    Deployment,
)
from flyball_controller.aws.settings import AppConfigIds
from flyball_controller.ports import PortError
from unit.aws.doubles import client_error


class Scripted:
    """Answers each operation with its next scripted reply (the last one for ever) and records the calls."""

    def __init__(self, **replies: list[Any]) -> None:
        self._replies = replies
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls.append((name, arguments))
            replies = self._replies[name]
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            if isinstance(reply, Exception):
                raise reply
            return reply

        return call


def api(**replies: list[Any]) -> tuple[AppConfigApi, Scripted]:
    """Return the calls of one profile on scripted replies."""
    client = Scripted(**replies)
    return AppConfigApi(client, AppConfigIds("app1", "env1", "ours", "str1")), client


def item(number: int, profile: str | None, state: str = "COMPLETE", version: str = "1") -> dict[str, Any]:
    """A line of ListDeployments."""
    line = {"DeploymentNumber": number, "ConfigurationVersion": version, "State": state}
    return line | ({"ConfigurationProfileId": profile} if profile else {})


def test_pages_are_read_until_one_of_ours_stands():
    """Other profiles of the environment may fill the first pages."""
    calls, client = api(
        list_deployments=[
            {"Items": [item(9, "theirs", "DEPLOYING"), item(8, "ours", "ROLLED_BACK")], "NextToken": "t"},
            {"Items": [item(7, "ours", version="12"), item(6, "ours")], "NextToken": "u"},
            AssertionError("one page too many"),
        ]
    )
    assert calls.deployments() == [
        Deployment(9, False, 1, "DEPLOYING"),
        Deployment(8, True, 1, "ROLLED_BACK"),
        Deployment(7, True, 12, "COMPLETE"),
        Deployment(6, True, 1, "COMPLETE"),
    ]
    assert client.calls[1][1]["NextToken"] == "t"


def test_a_history_full_of_others_is_given_up_after_a_few_pages():
    """250 deployments by others: whatever we deployed before is no longer worth the calls."""
    calls, client = api(list_deployments=[{"Items": [item(9, "theirs")], "NextToken": "t"}])
    calls.deployments()
    assert len(client.calls) == DEPLOYMENT_PAGES_MAX


def test_a_list_without_profile_ids_is_completed_by_the_deployment_itself():
    """The member is young in ListDeployments; taking a stranger's deployment for ours would be worse."""
    calls, client = api(
        list_deployments=[{"Items": [item(3, None)]}],
        get_deployment=[{"ConfigurationProfileId": "theirs"}],
    )
    assert [d.ours for d in calls.deployments()] == [False]
    assert client.calls[1] == (
        "get_deployment",
        {"ApplicationId": "app1", "EnvironmentId": "env1", "DeploymentNumber": 3},
    )


def test_a_version_that_is_no_hosted_number_is_zero():
    """Profiles over S3 or SSM have other version names."""
    calls, _ = api(list_deployments=[{"Items": [item(3, "ours", version="v٣")]}])
    assert calls.deployments()[0].version == 0


def test_a_content_is_its_bytes_and_a_deleted_one_is_none():
    """botocore streams the payload, other clients give it whole."""
    calls, _ = api(get_hosted_configuration_version=[{"Content": io.BytesIO(b"x")}, {"Content": b"y"}])
    assert [calls.content(1), calls.content(2)] == [b"x", b"y"]
    gone, _ = api(
        get_hosted_configuration_version=[
            client_error("ResourceNotFoundException", "GetHostedConfigurationVersion", status=404)
        ]
    )
    assert gone.content(1) is None


def test_any_other_refusal_is_an_error():
    """Not allowed is not the same as not there."""
    calls, _ = api(
        get_hosted_configuration_version=[client_error("AccessDeniedException", "Get", status=403)]
    )
    with pytest.raises(PortError):
        calls.content(1)


def test_the_first_version_and_the_first_deployment_are_made_without_a_lock():
    """There is no number to expect yet; 0 would be a number."""
    calls, client = api(
        create_hosted_configuration_version=[{"VersionNumber": 1}],
        start_deployment=[{"DeploymentNumber": 1}],
    )
    assert calls.create(b"{}", description="d", latest=0) == 1
    assert calls.start(1, latest=0, description="d") == 1
    assert "LatestVersionNumber" not in client.calls[0][1]
    assert "LatestDeploymentNumber" not in client.calls[1][1]
    calls.create(b"{}", description="d", latest=4)
    calls.start(1, latest=5, description="d")
    assert client.calls[2][1]["LatestVersionNumber"] == 4
    assert client.calls[3][1]["LatestDeploymentNumber"] == 5
