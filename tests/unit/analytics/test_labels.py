"""The truth file: what it may say, and how a wrong one is refused."""

from __future__ import annotations

import json

import pytest

from flyball_analytics.labels import Incident, Labels, LabelsError, labels_for, read_labels

NOON_S = 1_700_049_600.0
GOOD = {
    "dataset": {"source": "by hand"},
    "series": {
        "pay.csv": {
            "interval_s": 60,
            "rows": 10,
            "probation": 2,
            "incidents": [
                {
                    "start": "2023-11-15 12:10:00",
                    "end": "2023-11-15 12:12:00",
                    "fault": "exception",
                    "peak": 0.5,
                },
                {
                    "start": "2023-11-15 12:01:00",
                    "end": "2023-11-15 12:02:00",
                    "from": "2023-11-15 12:00:00",
                    "to": "2023-11-15 12:03:00",
                },
            ],
            "ignore": [["2023-11-15 12:20:00", "2023-11-15 12:21:00"]],
        }
    },
}


def read(write, document: object) -> dict[str, Labels]:
    """Read a labels document."""
    return read_labels(write("labels.json", json.dumps(document)))


def test_labels_are_read_in_order_of_time_with_their_margins(write) -> None:
    """Without from and to an answer must fall between start and end."""
    labels = read(write, GOOD)["pay.csv"]
    assert labels.incidents == (
        Incident(NOON_S + 60.0, NOON_S + 120.0, NOON_S, NOON_S + 180.0, ""),
        Incident(NOON_S + 600.0, NOON_S + 720.0, NOON_S + 600.0, NOON_S + 720.0, "exception"),
    )
    assert (labels.probation, labels.rows, labels.ignore) == (2, 10, ((NOON_S + 1200.0, NOON_S + 1260.0),))


def test_both_ends_of_incidents_and_ignored_stretches_belong_to_them(write) -> None:
    """Labels name rows, and the last named row is one of them."""
    labels = read(write, GOOD)["pay.csv"]
    assert labels.incident_at(NOON_S + 180.0) is labels.incidents[0]
    assert labels.incident_at(NOON_S + 181.0) is None
    assert (labels.ignored(NOON_S + 1260.0), labels.ignored(NOON_S + 1261.0)) == (True, False)


def test_labels_are_found_by_file_name_or_target(write) -> None:
    """A file may have been renamed; the target then still names them."""
    known = read(write, GOOD)
    assert labels_for(known, file_name="pay.csv", target="x", path="l") is known["pay.csv"]
    assert labels_for(known, file_name="x", target="pay.csv", path="l") is known["pay.csv"]
    with pytest.raises(LabelsError, match="did you mean 'pay"):
        labels_for(known, file_name="pai.csv", target="x", path="labels.json")


def entry(**changes: object) -> dict[str, object]:
    """A document with one series entry."""
    return {"series": {"pay.csv": changes}}


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ([], "series", "series"),
        ({"series": []}, "series", "series"),
        ({"series": {}, "seris": 1}, "", "did you mean 'series'"),
        ({"series": {"pay.csv": []}}, "series.pay.csv", "must be an object"),
        (entry(incident=[]), "series.pay.csv", "did you mean 'incidents'"),
        (entry(incidents={}), "series.pay.csv.incidents", "must be a list"),
        (entry(incidents=[1]), "series.pay.csv.incidents[0]", "start and end"),
        (entry(incidents=[{"start": "2023-11-15"}]), "series.pay.csv.incidents[0].end", "moment"),
        (
            entry(incidents=[{"start": "2023-11-16", "end": "2023-11-15"}]),
            "series.pay.csv.incidents[0]",
            "from <= start <= end <= to",
        ),
        (entry(ignore=[["2023-11-15"]]), "series.pay.csv.ignore[0]", "a pair"),
        (entry(ignore=[["2023-11-16", "2023-11-15"]]), "series.pay.csv.ignore[0]", "must not end"),
        (entry(probation=-1), "series.pay.csv.probation", "whole number"),
        (entry(rows=True), "series.pay.csv.rows", "whole number"),
    ],
)
def test_a_wrong_labels_file_names_the_field(write, document, field, words) -> None:
    """A misread truth makes every figure wrong in silence."""
    with pytest.raises(LabelsError) as caught:
        read(write, document)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_missing_or_broken_labels_file_is_an_error_of_the_same_kind(write, tmp_path) -> None:
    """One exception for the caller."""
    with pytest.raises(LabelsError, match="cannot be read"):
        read_labels(tmp_path / "none.json")
    with pytest.raises(LabelsError, match="is not JSON"):
        read_labels(write("l.json", "{"))
