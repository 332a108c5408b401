"""A page opened from disk by a real browser, if there is one, with its network taken away."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--proxy-server=127.0.0.1:9", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-component-update",
)  # fmt: skip


def probed_dom(page: str, probe: str, *, folder: Path, width: int = 1400) -> str:
    """Return what the page has become after its script and a probe.

    The probe is a second script, which the page's policy is told of as it is told of the
    first. A third one, which it is not told of, would set `data-evil`.
    """
    assert BROWSER is not None
    digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
    text = page.replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    text = text.replace(
        "</body>", f"<script>{probe}</script><script>document.body.dataset.evil=1</script></body>"
    )
    file = folder / "page.html"
    file.write_text(text)
    profile = f"--user-data-dir={folder / 'profile'}"
    done = subprocess.run(
        [BROWSER, *FLAGS, profile, f"--window-size={width},1000", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout
