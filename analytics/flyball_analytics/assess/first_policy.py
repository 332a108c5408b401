"""The first policy of a fleet, from an assessment: fixed thresholds, in shadow, each setting with its reason.

Start fixed; a target is adaptive only where its recorded history proves frequent
false positives (flyball_analytics.thresholds.recommend). Targets that need neither
retries nor a circuit are off. The text is read back by the policy reader before
it is returned: what is written can be put in force.
"""

from __future__ import annotations

from flyball_analytics.assess.advice import Pattern
from flyball_analytics.assess.assessment import Assessment, Judged
from flyball_analytics.assess.facts import timeout_wanted_s
from flyball_analytics.integrations import Target
from flyball_analytics.thresholds.recommend import Advice
from flyball_controller.core.policy import Policy
from flyball_controller.policy_file import parse_policy
from flyball_controller.policy_ranges import RANGES
from flyball_controller.policy_set import load_preset

NORMAL_MULTIPLE = 3.0  # a retry threshold under 3 x the normal error rate would fire every day
OPEN_RARELY = 0.9  # where no breaker is advised: only if nearly everything fails
DWELL_MAX_S = 600.0  # a circuit may look again after ten minutes, however long recovery usually takes
NAME = "policy.yaml"
# What makes a threshold follow its target; taken from the shipped preset, not repeated here.
ADAPTIVE_FIELDS = ("retry_adaptive", "retry_multiple", "open_adaptive", "open_multiple", "reset_multiple")


def policy_text(assessment: Assessment) -> str:
    """Return the YAML of a first policy for every target that is called.

    Raises:
        PolicyError: Never for a valid map; it would be our defect.
    """
    by_target: dict[str, list[Judged]] = {}
    for item in assessment.integrations:
        by_target.setdefault(item.one.target_name, []).append(item)
    lines = [
        "# First policy, written by `flyball assess`. It decides and journals, and acts on nothing (shadow).",
        "# Next: review it; `flyball validate` it; `flyball plan`; docs/how-to/modes.md leads to active.",
        "version: 1",
        "preset: fixed",
        "mode: shadow",
        "targets:" if by_target else "targets: {}",
    ]
    for name, items in by_target.items():
        lines += _target(name, items, assessment)
    text = "\n".join(lines) + "\n"
    parse_policy(text.encode(), where=NAME)
    return text


def _target(name: str, items: list[Judged], assessment: Assessment) -> list[str]:
    attempts = max(item.advice.attempts for item in items)
    breaker = next(
        (c for i in items for c in i.advice.choices if c.pattern is Pattern.BREAKER and c.advised), None
    )
    key = f"  {_quoted(name)}:"
    if attempts == 1 and breaker is None:
        reason = next(c.because for c in items[0].advice.choices if c.pattern is Pattern.RETRY)
        return [key, f"    # neither retries nor a circuit: {reason}", '    mode: "off"']
    lines = [key]
    barred = [item.one.function_name for item in items if item.one.call.idempotent is not True]
    if attempts > 1 and barred:
        lines.append(
            f"    # not idempotent, or not known: {', '.join(barred)}; no idempotent=True in their guards"
        )
    fixed = load_preset("fixed").default
    if attempts != fixed.attempts_nominal:
        reason = next(
            c.because
            for i in items
            for c in i.advice.choices
            if c.pattern is Pattern.RETRY and i.advice.attempts == attempts
        )
        lines += [f"    # {reason}", f"    attempts_nominal: {attempts}"]
        if attempts < fixed.attempts_min:
            lines.append(f"    attempts_min: {attempts}")
    target = items[0].one.target
    history = assessment.histories.get(name)
    if history is not None and history.advice is Advice.MOVE:
        adaptive = load_preset("adaptive").default
        lines.append(f"    # adaptive: {history.because}")
        lines += [f"    {field}: {_yaml(getattr(adaptive, field))}" for field in ADAPTIVE_FIELDS]
        lines += [
            f"    {field}: {_yaml(getattr(adaptive, field))}" for field in ("retry_floor", "open_floor")
        ]
    else:
        if history is not None:
            lines.append(f"    # fixed: {history.because}")
        lines += _floors(target, fixed, has_breaker=breaker is not None)
    lines += _patience(target, fixed)
    if breaker is not None and target.recovery_s is not None:
        dwell = min(target.recovery_s, DWELL_MAX_S)
        if dwell > fixed.dwell_s:
            lines += [f"    # recovers within {target.recovery_s:g} s", f"    dwell_s: {dwell:g}"]
    if len(lines) == 1:
        lines = [f"{key} {{}}"]
    return lines


def _patience(target: Target, fixed: Policy) -> list[str]:
    """Return the time of an attempt where the preset's would throw good answers away."""
    wanted_s = timeout_wanted_s(target)
    if wanted_s is None or 1_000.0 * wanted_s <= fixed.attempt_timeout_ms:
        return []
    wanted_ms = min(int(1_000.0 * wanted_s), int(RANGES["attempt_timeout_ms"][1]))
    return [
        "    # its answers take long: 3 x the typical latency, at least 1.2 x the 99th percentile",
        f"    attempt_timeout_ms: {wanted_ms}",
    ]


def _floors(target: Target, fixed: Policy, *, has_breaker: bool) -> list[str]:
    """Return thresholds above what is normal for the target, where the preset's are not."""
    lines = []
    opens = fixed.open_floor
    if not has_breaker:
        opens = OPEN_RARELY
        lines += [
            "    # no breaker is advised: only if nearly everything fails",
            f"    open_floor: {opens:g}",
        ]
    if target.error_ratio is None:
        return lines
    normal = NORMAL_MULTIPLE * target.error_ratio
    if normal > fixed.retry_floor:
        retry = min(normal, OPEN_RARELY)
        lines += [f"    # {100.0 * target.error_ratio:.3g} % fail normally", f"    retry_floor: {retry:.4g}"]
        if retry > opens:
            lines.append(f"    open_floor: {retry:.4g}")
    return lines


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _quoted(name: str) -> str:
    """Return a key that YAML reads as text, whatever it looks like."""
    return (
        f'"{name}"'
        if not name.replace("-", "").replace("_", "").isalpha() or name.lower() in _WORDS
        else name
    )


_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
