"""Record what the core decides today over the drawn streams of tests/recorded_streams.py.

Run after a deliberate change of decisions: python tools/record_decisions.py. It prints
which streams decide otherwise now; say why in CHANGELOG.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "tests" / "recorded_decisions.json"
sys.path.insert(0, str(ROOT / "tests"))


def main() -> None:
    """Write the file and say what is new."""
    from recorded_streams import POLICIES, SEEDS, digest_of, recorded

    before = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    found: dict[str, dict[str, object]] = {}
    for name in POLICIES:
        for seed in range(SEEDS):
            one = recorded(name, seed)
            found[f"{name}/{seed}"] = {
                "decisions": len(one.decisions),
                "changed": sum(decision.changed for decision in one.decisions),
                "digest": digest_of(one),
            }
    FILE.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    for name, entry in found.items():
        if before.get(name) != entry:
            print(f"{name}: {before.get(name, {}).get('changed', 'no')} -> {entry['changed']} changes")


if __name__ == "__main__":
    main()
