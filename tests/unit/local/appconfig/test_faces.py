"""The ways in: HTTP, in process, faults and quotas on both, and the guard around the emulator itself."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from flyball_local.appconfig import AppConfigService, FaultKind, NotEmulatedError
from flyball_local.appconfig.rest import Request, Router
from flyball_local.appconfig.weather import rate_of
from flyball_local.contractcheck import ContractError, attach, service_model
from flyball_local.virtualclock import VirtualClock

from .conftest import START_S, make_client, refused

LOST = (ReadTimeoutError, ConnectionClosedError)


def names(world):
    return [a["Name"] for a in world.control.list_applications()["Items"]]


def test_the_whole_path_from_application_to_reader(make_world):
    """The main job, with real clients: create, deploy, wait in virtual time, read through an agent."""
    world = make_world().set_up()
    strategy = world.strategy()
    version = world.version(b'{"schema": 1}', LatestVersionNumber=0)
    started = world.start(version, strategy, LatestDeploymentNumber=0)
    agent = world.agent()
    assert agent.get() is None
    world.clock.advance(7.0)
    assert world.deployment(started["DeploymentNumber"])["State"] == "COMPLETE"
    assert agent.get() == b'{"schema": 1}'
    assert world.poll(world.session())[0] == b'{"schema": 1}'
    assert all(check.calls > 0 for check in world.checks)


def test_a_time_out_before_the_effect_leaves_no_trace(make_world):
    """One of the two unknown outcomes a reconcile must tell apart."""
    world = make_world()
    world.service.faults.fail_next("CreateApplication", FaultKind.TIMEOUT_BEFORE_EFFECT)
    with pytest.raises(LOST):
        world.control.create_application(Name="a")
    assert names(world) == []


def test_a_time_out_after_the_effect_looks_the_same_but_is_done(make_world):
    """The other one: doing it again would make a second application, or meet 409."""
    world = make_world()
    world.service.faults.fail_next("CreateApplication", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(LOST):
        world.control.create_application(Name="a")
    assert names(world) == ["a"]


def test_a_refusal_can_be_lost_as_well(make_world):
    """The caller learns neither the error nor that nothing happened."""
    world = make_world().set_up()
    world.service.faults.fail_next("GetApplication", FaultKind.TIMEOUT_AFTER_EFFECT)
    with pytest.raises(LOST):
        world.control.get_application(ApplicationId="abcdefg")


def test_server_errors_and_throttling_have_their_codes(make_world):
    """And each fault hits as many calls as asked for, in order."""
    world = make_world()
    faults = world.service.faults
    faults.fail_next("ListApplications", FaultKind.SERVER_ERROR)
    faults.fail_next("ListApplications", FaultKind.THROTTLED, count=2)
    refused("InternalServerException", world.control.list_applications)
    refused("ThrottlingException", world.control.list_applications)
    refused("ThrottlingException", world.control.list_applications)
    assert names(world) == []
    faults.fail_next("ListApplications", FaultKind.THROTTLED)
    faults.clear()
    assert names(world) == []


def test_an_sdk_retry_uses_up_one_fault_per_attempt(make_world):
    """The client's own retries are part of what is tested: here the second attempt goes through."""
    world = make_world()
    client = make_client("appconfig", attempts=2)
    world.service.attach(client)
    world.service.faults.fail_next("ListApplications", FaultKind.TIMEOUT_BEFORE_EFFECT)
    assert client.list_applications()["ResponseMetadata"]["RetryAttempts"] == 1
    assert world.service.calls["ListApplications"] == 2
    client.close()


@pytest.mark.parametrize(("operation", "count"), [("StartDeploymnt", 1), ("StartDeployment", 0)])
def test_a_fault_that_could_never_happen_is_refused(operation, count):
    """A misspelt fault would make a reconcile test pass for nothing."""
    service = AppConfigService(VirtualClock(START_S))
    with pytest.raises(ValueError, match=r"did you mean 'StartDeployment'|count=0"):
        service.faults.fail_next(operation, FaultKind.THROTTLED, count=count)
    with pytest.raises(ValueError, match="does not exist"):
        service.faults.fail_next("Qqqqq", FaultKind.THROTTLED)


def test_the_control_plane_admits_ten_calls_a_second(make_world):
    """Not adjustable at AWS: during an incident with many targets this is what a controller meets."""
    world = make_world(throttle=True)
    for _ in range(10):
        world.control.list_applications()
    refused("ThrottlingException", world.control.list_applications)
    for _ in range(100):
        refused("ResourceNotFoundException", world.control.get_application, ApplicationId="abcdefg")
    refused("ThrottlingException", world.control.get_application, ApplicationId="abcdefg")
    world.clock.advance(0.1)
    world.control.list_applications()
    refused("ThrottlingException", world.control.list_applications)


def test_a_quiet_hour_saves_up_one_second_of_calls_and_no_more(make_world):
    """A burst after silence is what an incident looks like."""
    world = make_world(throttle=True)
    world.control.list_applications()
    world.clock.advance(3600.0)
    for _ in range(10):
        world.control.list_applications()
    refused("ThrottlingException", world.control.list_applications)


def test_quotas_are_off_unless_asked_for(make_world):
    """A test makes all its calls at one virtual instant."""
    world = make_world()
    for _ in range(30):
        world.control.list_applications()


def test_each_kind_of_operation_has_its_documented_rate():
    """General reference: Get 100, other control calls 10, data plane 1,000 and 500 per second."""
    rates = [
        rate_of(name)
        for name in ("StopDeployment", "GetDeployment", "GetLatestConfiguration", "StartConfigurationSession")
    ]
    assert rates == [10.0, 100.0, 1000.0, 500.0]


def test_every_operation_of_both_models_has_a_route_to_itself():
    """Routes come from the models: none may be shadowed by another."""
    router = Router(["appconfig", "appconfigdata"])
    for service in ("appconfig", "appconfigdata"):
        model = service_model(service)
        for name in model.operation_names:
            spec = model.operation_model(name).http
            path = spec["requestUri"].replace("{", "").replace("}", "")
            found = router.find(Request(spec["method"], path, {}, b""))
            assert found is not None
            assert (found.service, found.operation.name) == (service, name)


def test_path_parameters_are_decoded():
    """An ARN travels in the path with its slashes encoded."""
    router = Router(["appconfig"])
    found = router.find(Request("GET", "/tags/arn%3Aaws%2Fx", {}, b""))
    assert found is not None
    assert found.in_path == {"ResourceArn": "arn:aws/x"}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/applications", b"{", {}),
        ("/applications", b"[]", {}),
        (
            "/applications/abcdefg/configurationprofiles/abcdefg/hostedconfigurationversions",
            b"x",
            {"description": "é"},
        ),
        (
            "/applications/abcdefg/configurationprofiles/abcdefg/hostedconfigurationversions",
            b"x",
            {"content-type": "a", "latest-version-number": "one"},
        ),
    ],
)
def test_a_malformed_request_is_a_bad_request(path, body, headers):
    """Whatever arrives, the answer is a declared error and not a crash."""
    service = AppConfigService(VirtualClock(START_S))
    reply = service.handle(Request("POST", path, headers, body))
    assert (reply.status, reply.headers["x-amzn-ErrorType"]) == (400, "BadRequestException")


def test_over_http_what_is_not_emulated_is_501():
    """Distinct from every answer AppConfig gives."""
    with AppConfigService(VirtualClock(START_S)).serve() as served:
        for path in ("/nowhere", "/settings"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(served.url + path, timeout=5)  # noqa: S310 - loopback
            with caught.value as error:
                assert error.code == 501


def test_a_connection_serves_many_requests():
    """Keep-alive: a connection per call would be most of the time of an HTTP test."""
    with AppConfigService(VirtualClock(START_S)).serve() as served:
        connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=5)
        connection.connect()
        sock = connection.sock
        for _ in range(3):
            connection.request("GET", "/applications")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"Items": []}')
        assert connection.sock is sock
        connection.close()


def test_only_clients_of_appconfig_can_be_attached():
    """Another service's calls would end in a riddle."""
    client = make_client("sqs")
    with pytest.raises(ValueError, match="sqs"):
        AppConfigService(VirtualClock(START_S)).attach(client)


def test_what_is_not_emulated_raises_in_process():
    """There is no status to mistake for AppConfig's."""
    client = make_client("appconfig")
    AppConfigService(VirtualClock(START_S)).attach(client)
    with pytest.raises(NotEmulatedError):
        client.get_account_settings()


def broken(params):
    return {"Id": "NOT AN ID", "Name": "a"}


def test_an_emulator_that_answers_nonsense_is_stopped_in_process(monkeypatch):
    """Every answer is held to the model before a caller can believe it."""
    service = AppConfigService(VirtualClock(START_S))
    monkeypatch.setattr(service._control, "create_application", broken)
    client = make_client("appconfig")
    service.attach(client)
    with pytest.raises(ContractError, match="Id"):
        client.create_application(Name="a")


def test_an_emulator_that_answers_nonsense_over_http_fails_the_test_that_served_it(monkeypatch):
    """A 500 alone might be taken for a fault and retried away."""
    service = AppConfigService(VirtualClock(START_S))
    monkeypatch.setattr(service._control, "create_application", broken)
    serving = service.serve()
    serving.__enter__()
    client = make_client("appconfig", url=serving.url)
    with pytest.raises(ClientError):
        client.create_application(Name="a")
    client.close()
    with pytest.raises(ContractError, match="Id"):
        serving.__exit__(None, None, None)


def test_the_checker_sees_a_wrong_answer_the_emulator_let_through(monkeypatch):
    """Two nets: the service's own check and the one on the client."""
    service = AppConfigService(VirtualClock(START_S))
    monkeypatch.setattr(service, "_perform", lambda *_: broken({}))
    client = make_client("appconfig")
    service.attach(client)
    attach(client)
    with pytest.raises(ContractError, match="Id"):
        client.create_application(Name="a")
