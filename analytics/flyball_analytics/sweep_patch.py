"""The chosen policy as a file that `flyball validate` accepts: what changed, and the evidence for it.

Of a preset, the file is the preset's name and the changed fields. A policy file is
written again with the changed fields in its `defaults`; its comments are lost, so the
patch goes to a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flyball_analytics.space import Value
from flyball_analytics.sweep_objectives import TITLES, Objective, Scored, better_in, worse_in
from flyball_controller.core.errors import PolicyError
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_set import PRESETS


def evidence(base: Scored, chosen: Scored, *, tried: int, left_out: Sequence[str]) -> list[str]:
    """Return why the chosen candidate was taken, in lines of text."""
    lines = [f"Chosen among {tried} policies by flyball. Smaller is better; before -> after."]
    for title, before, after in (
        ("on the history it was fitted to", base.fit, chosen.fit),
        ("on the history held out", base.held, chosen.held),
    ):
        if not after:
            lines.append(f"{title}: nothing to judge by")
            continue
        lines.append(f"{title}:")
        lines += [
            f"  {TITLES[Objective(name)][0]}: {before[name]:.4g} -> {after[name]:.4g} "
            f"{TITLES[Objective(name)][1]}"
            for name in after
            if name in before
        ]
    lines.append(verdict(base, chosen))
    if left_out:
        lines.append(f"Left out, because they could not be run: {', '.join(left_out)}.")
    return lines


def verdict(base: Scored, chosen: Scored) -> str:
    """Return in one sentence what the held-out history says about the choice."""
    if chosen.number == 0:
        return "No policy that was tried is better: keep the one in force."
    if not chosen.held:
        return "Nothing was held out: these figures are the best of many and will not be met again."
    worse, better = worse_in(chosen.held, base.held), better_in(chosen.held, base.held)
    names = {name: TITLES[Objective(name)][0] for name in (*worse, *better)}
    if worse:
        return (
            f"The held-out history disagrees: worse in {', '.join(names[n] for n in worse)}"
            + (f", better in {', '.join(names[n] for n in better)}" if better else "")
            + ". Do not apply it as it is."
        )
    if better:
        return f"The held-out history agrees: better in {', '.join(names[n] for n in better)}, worse in none."
    return "The held-out history shows no difference: more history or more incidents are needed."


def patch_text(source: str, point: Mapping[str, Value], lines: Sequence[str]) -> str:
    """Return the policy file of a point, with its evidence as a comment.

    Args:
        source: The policy in force: a preset or a YAML file.
        point: The changed fields.
        lines: The evidence.

    Raises:
        PolicyError: If the policy in force is a compiled file, which people do not edit.
    """
    import yaml

    document: dict[str, Any]
    if source in PRESETS:
        document = {"version": 1, "preset": source, "defaults": {}}
    elif Path(source).suffix == ".json":
        raise PolicyError(
            f"{source} is compiled: give the YAML file that it was made from, to get a patch", field="policy"
        )
    else:
        document = yaml.safe_load(Path(source).read_bytes())
    document["defaults"] = {**(document.get("defaults") or {}), **point}
    changed = f"Changed from {source}: {', '.join(point) or 'nothing'}."
    comment = "\n".join(f"# {line}".rstrip() for line in (*lines, changed))
    text = f"{comment}\n{yaml.safe_dump(document, sort_keys=False, allow_unicode=True)}"
    parse_policy(text.encode(), where="patch.yaml")  # what we write must be what we read
    return text


def chosen_by(number: int, rows: Sequence[Scored]) -> Scored:
    """Return the candidate of a number.

    Raises:
        PolicyError: If there is none.
    """
    for row in rows:
        if row.number == number:
            return row
    raise PolicyError(
        f"there is no candidate {number}: they are 0 to {rows[-1].number}", field="choose", value=number
    )
