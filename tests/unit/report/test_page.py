"""The page is one valid, self-contained file: proved by parsing it, not by trusting the template."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from flyball_analytics.compare import Rules, compare
from flyball_analytics.problems import SeriesError
from flyball_analytics.report import charts, page, parts, sections, svg
from flyball_analytics.report.model import build
from flyball_analytics.report.page import render
from flyball_analytics.report.pareto import Effect, Point, Sweep
from report_world import MANIFEST, START_S, watched

VOID = {"meta", "link", "br", "img", "input", "hr", "path", "rect", "circle", "line"}
LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "ping", "manifest"}


class Page(HTMLParser):
    """Everything that the tests ask of a page."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.refs: list[str] = []
        self.links: list[str] = []
        self.loads: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(data.decode())
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.append((tag, named))
        if named.get("id"):
            self.ids.append(named["id"])
        for name in ("aria-labelledby", "aria-describedby"):
            self.refs += (named.get(name) or "").split()
        if tag == "a":
            self.links.append(named["href"])
        elif "href" in named or "xlink:href" in named:
            self.loads.append((tag, "href"))
        self.loads += [(tag, name) for name in named if name in LOADING or name.startswith("on")]
        if tag in (
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "video",
            "audio",
            "image",
            "use",
        ):
            self.loads.append((tag, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="module")
def full():
    """Return a report with every section, and its page."""
    one = watched(fast=True)
    longer = watched("orders", windows=1_440)
    other = [f._replace(contender="new") for f in (one.figures, longer.figures)]
    done = compare([one.figures, longer.figures], other, Rules(limits={"delay_s": 1.0}))
    tried = [Point(f"p{n}", {"open_floor": 0.5 + n / 100}, (60.0 + n, 9.0 - n)) for n in range(5)]
    sweep = Sweep(
        ("detection delay, s", "false-open min a week"),
        (*tried, Point("beaten", {}, (99.0, 99.0))),
        (Effect("open_floor", "detection delay, s", 0.98),),
        chosen="p2",
    )
    report = build([one, longer], MANIFEST, comparisons=[done], sweep=sweep, title="Shop & Co")
    return report, render(report)


def test_the_page_is_well_formed_with_unique_ids_and_targets_that_exist(full):
    """A broken id is a dead link and a picture without a name."""
    found = Page(full[1])
    assert len(found.ids) == len(set(found.ids))
    assert set(found.refs) <= set(found.ids)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert {"compare", "incidents", "worst", "load", "services", "pareto", "quality", "made"} <= set(
        found.ids
    )


def test_nothing_is_loaded_from_anywhere(full):
    """It must open from disk in ten years; the policy in it forbids what a mistake would try."""
    found = Page(full[1])
    assert found.loads == []
    assert not re.search(rb"https?:|//[a-z]|url\(|@import", full[1].replace(b"http-equiv", b""))
    policy = next(a["content"] for tag, a in found.tags if tag == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy
    for element, rule in (("style", "style-src"), ("script", "script-src")):
        content = next(text for text in found.texts[element] if not text.startswith("{"))
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert b" style=" not in full[1], "an inline style would be refused by the policy"


def test_every_picture_has_words_and_every_table_heads(full):
    """For those who do not see it, and for those who only hear rows."""
    found = Page(full[1])
    for tag, attributes in found.tags:
        if tag == "svg" and attributes.get("class") == "fig":
            assert attributes["role"] == "img"
            assert attributes["aria-labelledby"]
        elif tag == "svg" and attributes.get("class") in ("spark", None) and "viewbox" not in attributes:
            assert attributes.get("aria-hidden") == "true"
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if attributes.get("class") == "scroll":
            assert attributes["tabindex"] == "0", "a keyboard must reach what scrolls"
    tables = sum(tag == "table" for tag, _ in found.tags)
    assert tables == sum(tag == "caption" for tag, _ in found.tags) > 5
    assert ("html", {"lang": "en"}) in found.tags


def test_the_words_of_the_report_stand_in_it(full):
    """Verdict first, limits beside values, what to do to make it again last."""
    report, data = full
    text = " ".join(" ".join(parts) for parts in Page(data).texts.values())
    for sentence in report.sentences:
        assert sentence in text
    assert "Shop & Co" in text
    assert "1 s kept" in text or "1 s BROKEN" in text
    assert MANIFEST.command in text
    assert MANIFEST.inputs[0].sha256 in text
    assert "p2 (chosen)" in text
    assert "5 of them are beaten by none" in text
    assert "flyball why payments@" in text
    assert "→" in text


def test_equal_reports_are_equal_bytes(full):
    """A report under version control changes only where something changed."""
    assert render(full[0]) == full[1]


def test_names_cannot_break_out_of_the_page():
    """Targets are named by users, and a page is opened by others."""
    evil = '</script><img src=x onerror="x()">\'"&'
    one = watched()._replace(target=evil)
    found = Page(render(build([one], MANIFEST)))
    assert found.loads == []
    assert (
        evil
        in json.loads(next(text for text in found.texts["script"] if text.startswith("{")))["services"][
            0
        ].values()
    )


def test_the_data_for_programs_are_in_the_page(full):
    """One file to mail, for people and for scripts."""
    block = next(text for text in Page(full[1]).texts["script"] if text.startswith("{"))
    assert json.loads(block)["verdict"] == full[0].verdict.value


def test_without_labels_comparison_sweep_or_changes_the_sections_are_left_out():
    """An empty table is noise."""
    quiet = watched(known=False, outage=range(0))
    found = Page(render(build([quiet], MANIFEST)))
    assert not {"compare", "incidents", "worst", "pareto"} & set(found.ids)
    assert "No decision changed anything." in found.texts["p"]


def _luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255.0 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_lines_can_be_read_in_light_and_in_dark(scheme):
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what a picture says."""
    style = (parts.FOLDER / "style.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for name in ("ink", "soft", "link", "good", "bad", "unsure"):
        for ground in ("bg", "card"):
            assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for name in ("normal", "trip", "value", "incident", "open", "half", "front"):
        assert _contrast(colours[name], colours["bg"]) >= 3.0, name


def test_a_thousand_services_stay_a_file_that_can_be_mailed():
    """Twenty are drawn in full, the rest are rows with a small picture: under 3 MB in all."""
    one = watched()
    services = [one._replace(target=f"service-{n:04d}") for n in range(1_000)]
    data = render(build(services, MANIFEST))
    assert len(data) < 3_000_000
    assert data.count(b'<svg class="spark"') == 1_000
    assert data.count(b"<details") == page.DRAWN
    assert data.count(b'id="find"') == 1


def test_long_tables_are_cut_with_a_word(monkeypatch):
    """Nothing disappears silently."""
    for module in ("page", "sections"):
        for name in ("CHANGES_MAX", "INCIDENTS_MAX", "QUALITY_MAX", "SERVICES_MAX"):
            monkeypatch.setattr(f"flyball_analytics.report.{module}.{name}", 1, raising=False)
    services = [watched(), watched("orders")]
    done = compare([s.figures for s in services], [s.figures for s in services])
    text = render(build(services, MANIFEST, comparisons=[done])).decode()
    assert "the first 1 of 2, unrecognised ones first" in text
    assert "the newest 1 of 2" in text
    assert "the first 1 are listed" in text
    assert "1 of 2, those that differ in most measures first" in text


def test_of_a_large_fleet_the_services_that_differ_are_shown(monkeypatch):
    """Two hundred rows of `0 > 0` stood between the verdict and the incidents."""
    monkeypatch.setattr("flyball_analytics.report.sections.SERVICES_MAX", 1)
    services = [watched("auth"), watched("price")]
    same, other = (s.figures for s in services)
    missed = other._replace(incidents=tuple(i._replace(missed=True) for i in other.incidents))
    done = compare([same, other], [same, missed])
    shown = sections.comparison_section(done)["services"]
    assert [row[0] for row in shown] == ["price"]


def test_a_missing_template_engine_is_named_with_its_extra(monkeypatch):
    """A base install has none; the user is told what to install."""
    import builtins

    real = builtins.__import__

    def without(name, *arguments, **named):
        if name == "jinja2":
            raise ImportError("no", name="jinja2")
        return real(name, *arguments, **named)

    parts._environment.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SeriesError, match=r"flyball\[report\]"):
        render(build([watched()], MANIFEST))


# --- pictures ----------------------------------------------------------------------------------


def test_a_picture_says_in_words_what_it_shows(payments):
    """30 of 240 windows fail altogether: 12.5 % on average."""
    told = charts.describe(payments, payments.bins)
    assert "from 2026-01-05T00:00:00Z to 2026-01-05T04:00:00Z: 12.5 % on average, 100 % in the worst" in told
    assert "Changes: 2. Labelled incidents: 1." in told


def test_a_circuit_is_a_ribbon_half_as_high_when_half_open():
    """Height says it too, for those who do not see the colour."""
    one = watched(fast=True)
    drawn = charts.figure(one, one.bins, ident="x")
    assert re.search(r'<rect class="open" x="[\d.]+" y="0" width="[\d.]+" height="14">', drawn)
    assert "<title>open for " in drawn
    assert 'class="gap"' in drawn
    assert 'class="inc"' in drawn
    assert drawn.count("<circle") == len(one.changes)


def test_what_lies_outside_a_close_up_is_not_drawn(payments):
    """An incident before the stretch would be a bar at its edge."""
    late = payments.bins.__class__(START_S + 12_000.0, START_S + 14_400.0, 60.0)
    drawn = charts.figure(payments, late, ident="x")
    assert "<circle" not in drawn
    assert 'class="inc"' not in drawn
    assert 'class="gap"' not in drawn


def test_a_stretch_of_a_minute_in_a_year_can_still_be_seen():
    """Two millionths of the width would be nothing at all; the last minute stays inside."""
    axis = charts.Axis(0.0, 31_536_000.0)
    assert axis.stretch(0.0, 60.0) == (0.0, charts.LEAST)
    assert axis.stretch(31_535_940.0, 31_536_000.0) == (1_000.0 - charts.LEAST, charts.LEAST)


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (4.0, ["00:00", "00:30", "01:00"]),
        (48.0, ["5 Jan", "06:00", "12:00"]),
        (24.0 * 6, ["5 Jan", "6 Jan", "7 Jan"]),
        (24.0 * 365, ["Jan 2026", "Apr 2026", "Jul 2026"]),
    ],
)
def test_ticks_stand_at_round_moments(hours, words):
    """Half hours, quarters of a day, days, quarters of a year with their year."""
    ticks = svg.time_ticks(START_S, START_S + 3_600.0 * hours)
    assert [told for _, told in ticks][: len(words)] == words


def test_an_empty_line_draws_nothing():
    """A path without points is no element."""
    assert svg.path("val", svg.line_path([])) == ""
    assert svg.area_path([], []) == ""
    assert svg.line_path([(1.0, 2.0)]) == "M1 2"
