"""A real browser, if there is one, opens the page from disk with its network taken away."""

from __future__ import annotations

import pytest

from browser import BROWSER, probed_dom
from flyball_analytics.report.model import build
from flyball_analytics.report.page import render
from report_world import MANIFEST, watched


@pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on this machine; test_page.py proves what a parser can"
)
def test_a_browser_without_network_runs_the_page(tmp_path):
    """Its own style and script pass its own policy; an unknown script does not."""
    one = watched()
    page = render(build([one._replace(target=f"s{n}") for n in range(9)], MANIFEST))
    probe = (
        "document.body.dataset.drawn=document.querySelector('svg.fig').getBoundingClientRect().height;"
        "document.body.dataset.ink=getComputedStyle(document.body).fontSize;"
        "document.body.dataset.wide=document.documentElement.scrollWidth<=innerWidth"
    )
    dom = probed_dom(page.decode(), probe, folder=tmp_path)
    assert '<p class="find">' in dom, "the script of the page did not run"
    assert 'data-ink="15px"' in dom, "the style of the page was not applied"
    assert 'data-wide="true"' in dom, "the page is wider than the window"
    assert 'data-drawn="0"' not in dom
    assert "data-drawn=" in dom
    assert "data-evil" not in dom, "the policy let an unknown script run"
