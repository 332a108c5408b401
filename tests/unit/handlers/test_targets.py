"""Which target an alarm is about: the order of the places it is looked for in."""

from __future__ import annotations

import pytest

from flyball_handlers import targets
from flyball_handlers.alarms import read_alarm
from flyball_handlers.events import Code, Expected, Rejected, Wake

PREFIX = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:"


def alarm(name: str, *, namespace: str = "flyball", **dims: str) -> dict[str, object]:
    """Build a direct-action alarm on one metric."""
    metric = {"namespace": namespace, "name": "requests", "dimensions": dims}
    return {
        "alarmArn": PREFIX + name,
        "alarmData": {
            "state": {"value": "ALARM", "timestamp": "2026-11-23T12:00:00.989+0000"},
            "configuration": {"metrics": [{"id": "m1", "metricStat": {"metric": metric}}]},
        },
    }


def woken(event: object, expected: Expected) -> list[str]:
    return [o.target for o in read_alarm(event, expected) if isinstance(o, Wake)]


def test_the_dimension_wins_over_mapping_and_name(expected: Expected) -> None:
    """The metric says what was measured; a name is only a name."""
    mapped = expected._replace(alarm_targets={"flyball/stock/errors": ("mail",)})
    assert woken(alarm("flyball/stock/errors", target="search"), mapped) == ["search"]


def test_the_mapping_wins_over_the_name_and_arns_win_over_names(expected: Expected) -> None:
    """The operator's word stands above a convention; the ARN is the more precise key."""
    name = "flyball/stock/errors"
    mapped = expected._replace(alarm_targets={name: ("mail",), PREFIX + name: ("checkout", "search")})
    assert woken(alarm(name), mapped) == ["checkout", "search"]
    assert woken(alarm(name), expected._replace(alarm_targets={name: ("mail",)})) == ["mail"]
    assert woken(alarm(name), expected) == ["stock"]


def test_a_target_dimension_of_somebody_elses_metric_names_no_target(expected: Expected) -> None:
    """`target` is a common word; only in the client's namespace does it mean ours."""
    assert woken(alarm("flyball/stock/x", namespace="Other", target="search"), expected) == ["stock"]


def test_a_target_the_policy_does_not_know_is_refused(expected: Expected) -> None:
    """Names from outside must not create checkpoints without end (T8, T10)."""
    (refused,) = read_alarm(alarm("x", target="unheard-of"), expected)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.value) == (Code.UNKNOWN_TARGET, "'unheard-of'")
    assert not refused.malformed


def test_without_a_list_of_targets_every_well_formed_name_is_one(expected: Expected) -> None:
    """A deployment that names no targets takes them as they come; names stay printable and short."""
    open_minded = expected._replace(targets=frozenset())
    assert woken(alarm("x", target="unheard-of"), open_minded) == ["unheard-of"]
    for bad in ("", "a b", "x" * 129, "ü", "*", "a\nb"):
        assert woken(alarm("x", target=bad), open_minded) == [], bad


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("ALARM(a)", ["a"]),
        ("ALARM(\"a b\") AND NOT OK('c') OR INSUFFICIENT_DATA( d )", ["a b", "c", "d"]),
        ("TRUE", []),
        (None, []),
        ("ALARM(", []),
        ('ALARM("' * 5_000, []),
        ("ALARM(x)" * 2_000, ["x"] * 100),
    ],
)
def test_names_are_found_in_a_composite_rule(rule: object, names: list[str]) -> None:
    """A rule is up to 10,240 characters of expression; only the names in it matter."""
    assert targets.rule_names(rule) == names


def test_a_composite_alarm_with_a_target_of_its_own_name_falls_back_to_it(expected: Expected) -> None:
    """Children decide; if they name nothing, the alarm's own name may."""
    event = alarm("flyball/stock/any")
    assert isinstance(event["alarmData"], dict)
    event["alarmData"]["configuration"] = {"alarmRule": "ALARM(unmapped)"}
    assert woken(event, expected) == ["stock"]


def test_dimensions_of_any_form_are_read() -> None:
    """EventBridge sends a map, SNS a list; capitals occur in captured messages."""
    assert targets.dimensions([{"Name": "target", "Value": "a"}, {"name": 1, "value": "b"}, "c"]) == {
        "target": "a"
    }
    assert targets.dimensions({"target": "a", "n": 5}) == {"target": "a"}
    assert targets.dimensions("target") == {}
