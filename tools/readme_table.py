"""Write the README's table from `flyball demo`: one row per incident, both worlds, the better one bold.

Run it after a change of the control law, the client or the demo; it takes half a
minute, so no test runs the demo for it. A test holds the rows against the
scenario and what is said of them (ANSWERS) against its services.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
HEAD = ("incident", "three static retries", "with flyball", "what flyball did")
# What only people can put into few words; by the demo's services.
ANSWERS = {
    "payments-api": "retry budget to 0",
    "pricing-api": "retry budget *raised*: retries repair it",
    "search-index": "budget to 0, then the circuit opens",
    "geo-lookup": "longer pauses, smaller budget",
    "ledger-db": "budget to 0, sheds to the capacity left",
    "license-check": "nothing is opened: too little traffic to judge",
    "auth-tokens": "retry budget to 0",
    "recommender": "smaller budget: retries do not help",
    "catalogue": "nothing, rightly",
}


def rows(incidents: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the table's rows.

    Raises:
        SystemExit: An incident of which nobody says what flyball does.
    """
    found = []
    for incident in incidents:
        service = incident["service"]
        if service not in ANSWERS:
            raise SystemExit(f"readme_table: say in ANSWERS what flyball does for {service}")
        static, ours = incident["static"], incident["flyball"]
        minutes = (incident["end_s"] - incident["start_s"]) / 60.0
        label = incident["label"]
        if not label.endswith(" min"):
            label += f", {minutes:.0f} min"
        found.append((label, _told(static, ours), _told(ours, static), ANSWERS[service]))
    return found


def _told(arm: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    lost = f"{arm['lost']:,}"
    lost = f"**{lost}**" if arm["lost"] < other["lost"] else lost
    after_s = arm["recovered_after_s"]
    if after_s is None:
        return f"{lost}, never back"
    return f"{lost}, back after {after_s:.0f} s" if other["recovered_after_s"] is None else lost


def rendered(page: str, demo: Mapping[str, Any]) -> str:
    """Return the README with the table and its sentence made anew."""
    lines = (HEAD, ("---",) * len(HEAD), *rows(demo["incidents"]))
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    part = f"<!-- generated: demo -->\n{table}\n\n{demo['verdict']}\n<!-- end -->"
    if page.count("<!-- generated: demo -->") != 1:
        raise SystemExit("readme_table: the README has no place for the table, or two")
    return re.sub(r"<!-- generated: demo -->.*?<!-- end -->", lambda _: part, page, flags=re.DOTALL)


def main() -> None:
    """Run the demo and write the table."""
    start = "from flyball_analytics.cli import main; main()"
    command = [sys.executable, "-c", start, "demo", "--format", "json"]
    demo = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    page = rendered(README.read_text(), demo)
    README.write_text(page)


if __name__ == "__main__":
    main()
