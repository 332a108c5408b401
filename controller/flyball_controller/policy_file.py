"""Policy files: YAML that operators write, validated into plain records.

Errors name file, line, field, value, bound and remedy; unknown keys are errors
with a guess. Pydantic and YAML are imported only when a YAML file is read, so
that Lambda, which reads presets and compiled JSON, never pays for them.

    version: 1
    preset: two-loop          # optional: start from a shipped policy
    mode: shadow              # optional: active, shadow or off, for all targets
    defaults: {retry_floor: 0.10}
    targets:
      payments-api: {open_floor: 0.5}
      orders: {canary: [checkout-blue]}     # optional: active, for these functions only
    probes:                   # optional: what the probe function asks (flyball_controller.probes)
      payments-api: {kind: http, url: "https://payments.internal/health", critical: true}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyball.hints import did_you_mean
from flyball.names import name_problem
from flyball_controller.codec import with_digest
from flyball_controller.core.errors import PolicyError
from flyball_controller.core.model import Mode
from flyball_controller.core.policy import Law, Policy, Promise
from flyball_controller.policy_ranges import RANGES, contradiction
from flyball_controller.policy_set import (
    NO_CANARIES,
    NO_PROBES,
    PRESETS,
    PolicySet,
    canary_names,
    load_compiled,
    load_preset,
)
from flyball_controller.probes import checks_from_section
from flyball_controller.yaml_lines import Lines, YamlError, read_mapping

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

__all__ = ["PRESETS", "RANGES", "PolicyError", "PolicySet", "load_policy", "parse_policy"]

FILE_BYTES_MAX = 1_000_000
TOP_KEYS = ("version", "preset", "mode", "defaults", "targets", "probes", "description")


def load_policy(source: str) -> PolicySet:
    """Return the policies named by a preset, a YAML file or a compiled JSON file.

    Raises:
        PolicyError: With file:line, field, value, bound and remedy.
    """
    if source in PRESETS:
        return load_preset(source)
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = did_you_mean(source, PRESETS)
        listed = ", ".join(PRESETS)
        raise PolicyError(
            f"policy {source!r} is neither a preset ({listed}) nor a readable file: {error.strerror}{hint}",
            field="policy",
            value=source,
            code="file",
        ) from error
    if path.suffix == ".json":
        return load_compiled(data, where=source)
    return parse_policy(data, where=source)


def parse_policy(data: bytes, *, where: str) -> PolicySet:
    """Return the policies in the bytes of a YAML file; `where` stands in errors.

    Raises:
        PolicyError: As `load_policy`.
    """
    try:
        plain, lines = read_mapping(data, where=where, kind="a policy", bytes_max=FILE_BYTES_MAX)
    except YamlError as error:
        code = "repeated-key" if error.path else "not-yaml"
        raise PolicyError(error.problems[0], field=".".join(error.path), code=code) from error
    return _build(plain, lines, name=Path(where).stem)


def _build(plain: Mapping[object, object], lines: Lines, *, name: str) -> PolicySet:
    for key in plain:
        if key not in TOP_KEYS:
            raise PolicyError(
                f"{lines.at(str(key))}: unknown key {key!r}{did_you_mean(str(key), TOP_KEYS)}",
                field=str(key),
                code="unknown-key",
            )
    if plain.get("version") != 1:
        raise PolicyError(
            f"{lines.at('version')}: version={plain.get('version')!r} must be 1",
            field="version",
            code="wrong-version",
        )
    base = Policy()
    if "preset" in plain:
        try:
            base = load_preset(str(plain["preset"])).default
        except PolicyError as error:
            raise PolicyError(
                f"{lines.at('preset')}: {error}", field="preset", value=plain["preset"], code=error.code
            ) from error
    if "mode" in plain:
        word = str(plain["mode"]).upper() if not isinstance(plain["mode"], bool) else "OFF"
        if word not in Mode.__members__ or plain["mode"] is True:
            raise PolicyError(
                f"{lines.at('mode')}: mode={plain['mode']!r} must be active, shadow or off", field="mode"
            )
        base = base._replace(mode=Mode[word])
    default = _policy(plain.get("defaults"), base, lines, "defaults")
    targets: dict[str, Policy] = {}
    canaries: dict[str, tuple[str, ...]] = {}
    listed = plain.get("targets")
    if listed is not None and not isinstance(listed, dict):
        raise PolicyError(f"{lines.at('targets')}: targets must map names to settings", field="targets")
    for target, fields in (listed or {}).items():
        problem = name_problem(str(target))
        if problem:
            where = lines.at("targets", str(target))
            raise PolicyError(f"{where}: the target {problem}", field="targets", code="bad-name")
        section = fields
        if isinstance(fields, dict) and "canary" in fields:
            at = lines.at("targets", str(target), "canary")
            canaries[str(target)] = canary_names(fields["canary"], where=at)
            section = {key: value for key, value in fields.items() if key != "canary"}
        targets[str(target)] = _policy(section, default, lines, "targets", str(target))
        mode = targets[str(target)].mode
        if str(target) in canaries and mode != Mode.ACTIVE:
            raise PolicyError(
                f"{lines.at('targets', str(target), 'canary')}: {target} has a canary in mode "
                f"{mode.name.lower()}: a canary acts, on some functions; set mode: active, or remove it",
                field="canary",
                code="contradiction",
            )
    probes = checks_from_section(
        plain.get("probes"), at=lambda *path: lines.at("probes", *filter(None, path))
    )
    return PolicySet(default, targets, name, canaries or NO_CANARIES, probes or NO_PROBES)


def _policy(fields: object, base: Policy, lines: Lines, *path: str) -> Policy:
    """Return `base` changed by one section of the file."""
    from pydantic import ValidationError

    if fields is None:
        fields = {}
    if not isinstance(fields, dict):
        raise PolicyError(
            f"{lines.at(*path)}: {'.'.join(path)} must be a mapping of settings", field=path[-1]
        )
    plain = {str(key): _off_is_a_word(str(key), value) for key, value in fields.items()}
    try:
        model = _model().model_validate(plain)
    except ValidationError as error:
        raise _explain(error, lines, path) from error
    changes = model.model_dump(exclude_unset=True)
    for key, kind in (("mode", Mode), ("law", Law), ("promise", Promise)):
        if key in changes:
            changes[key] = kind[str(changes[key]).upper().replace("-", "_")]
    policy = base._replace(**changes)
    broken = contradiction(policy)
    if broken is not None:
        at = next(
            (key for key in (broken.field, *plain) if key in plain and key in broken.text), broken.field
        )
        raise PolicyError(
            f"{lines.at(*path, at)}: {broken.text} (see {', '.join(sorted(plain)) or 'preset'})",
            field=broken.field,
            code="contradiction",
        )
    return with_digest(policy)


def _off_is_a_word(key: str, value: object) -> object:
    """YAML 1.1 reads a bare `off` as false; as a mode it is the word."""
    return "off" if key == "mode" and value is False else value


def _model() -> type[BaseModel]:
    """Return the validation model of one section, made from Policy and RANGES."""
    global _MODEL  # noqa: PLW0603 - built once, on first use
    if _MODEL is None:
        from typing import Literal

        from pydantic import ConfigDict, Field, create_model

        fields: dict[str, Any] = {
            "mode": (Literal["active", "shadow", "off"], "active"),
            "law": (Literal["ladder", "two_loop", "two-loop"], "two_loop"),
            "promise": (Literal["none", "any", "independent"], "any"),
        }
        for name, default in Policy()._asdict().items():
            if name in ("mode", "law", "promise", "digest"):
                continue
            if isinstance(default, bool):
                fields[name] = (bool, default)
            else:
                low, high = RANGES[name]
                fields[name] = (type(default), Field(default, ge=low, le=high, allow_inf_nan=False))
        config = ConfigDict(extra="forbid", strict=True)
        _MODEL = create_model("PolicySection", __config__=config, **fields)
    return _MODEL


_MODEL: type[BaseModel] | None = None


def _explain(error: ValidationError, lines: Lines, path: tuple[str, ...]) -> PolicyError:
    """Return our error for the first thing that is wrong, with all of them counted."""
    problems = error.errors()
    first = problems[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    value = first.get("input")
    where = lines.at(*path, field)
    known = (*(name for name in Policy._fields if name != "digest"), "canary")
    if first["type"] == "extra_forbidden":
        text = f"unknown key {field!r}{did_you_mean(field, known)}"
    elif field in RANGES:
        low, high = RANGES[field]
        kind = "a whole number" if isinstance(getattr(Policy(), field), int) else "a number"
        text = (
            f"{field}={value!r} must be {kind} from {low:g} to {high:g}; default {getattr(Policy(), field)!r}"
        )
    else:
        text = f"{field}={value!r}: {first['msg']}"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    code = "unknown-key" if first["type"] == "extra_forbidden" else "wrong-value"
    return PolicyError(f"{where}: {text}{more}", field=field, value=value, code=code)
