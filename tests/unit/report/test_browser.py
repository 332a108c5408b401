"""A real browser, if there is one, opens the page from disk with its network taken away."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from flyball_analytics.report.model import build
from flyball_analytics.report.page import render
from report_world import MANIFEST, watched

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)


@pytest.mark.skipif(
    BROWSER is None, reason="no Chromium on this machine; test_page.py proves what a parser can"
)
def test_a_browser_without_network_runs_the_page(tmp_path):
    """Its own style and script pass its own policy; an unknown script does not."""
    assert BROWSER is not None
    one = watched()
    page = render(build([one._replace(target=f"s{n}") for n in range(9)], MANIFEST))
    probe = (
        "document.body.dataset.drawn=document.querySelector('svg.fig').getBoundingClientRect().height;"
        "document.body.dataset.ink=getComputedStyle(document.body).fontSize;"
        "document.body.dataset.wide=document.documentElement.scrollWidth<=innerWidth"
    )
    # The probe is a second script, which the policy must be told of as it is told of the first.
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
    text = page.decode().replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    text = text.replace(
        "</body>", f"<script>{probe}</script><script>document.body.dataset.evil=1</script></body>"
    )
    file = tmp_path / "report.html"
    file.write_text(text)
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    nowhere = [
        "--proxy-server=127.0.0.1:9",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--disable-component-update",
    ]
    done = subprocess.run(
        [BROWSER, *flags, *nowhere, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000",
         "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert '<p class="find">' in done.stdout, "the script of the page did not run"
    assert 'data-ink="15px"' in done.stdout, "the style of the page was not applied"
    assert 'data-wide="true"' in done.stdout, "the page is wider than the window"
    assert 'data-drawn="0"' not in done.stdout
    assert "data-drawn=" in done.stdout
    assert "data-evil" not in done.stdout, "the policy let an unknown script run"
