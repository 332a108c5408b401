"""The bill of materials: every package that an installation may hold, as CycloneDX 1.6 JSON in dist/.

    python tools/sbom.py [--out FILE]

Names and versions are those of constraints.txt, licences and what needs what come
from the metadata of the installed packages. `scope` says who meets a package: all
(required), users of an extra (optional), or only those who develop flyball
(excluded). Equal inputs give equal bytes: no time of day, no machine, and a serial
number that is a digest of the content.

Format: CycloneDX 1.6 (ECMA-424). Names of packages: Package URL, type pypi.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Any fixed one will do: it makes the serial number a digest of the content (RFC 9562, version 5).
NAMESPACE = uuid.UUID("6d1c5d0e-4f0e-5c39-8b0a-2f7f1a6f6c11")
FOR_DEVELOPERS = ("dev", "bench")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Metadata of old packages names the licence in a classifier only; the rest keeps its words.
_LICENCES = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def normal(name: str) -> str:
    """Return a package's name in its normal form (PEP 503).

    >>> normal("Jinja2"), normal("ruamel.yaml_clib")
    ('jinja2', 'ruamel-yaml-clib')
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str) -> dict[str, str]:
    """Return version by normal name of a constraints file.

    Raises:
        ValueError: A line is no `name==version`; says which.

    >>> pinned("# why\\nJinja2==3.1.6\\n")
    {'jinja2': '3.1.6'}
    """
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        name, equals, version = content.partition("==")
        if not equals or not _NAME.fullmatch(name) or not re.fullmatch(r"[0-9A-Za-z.!+-]+", version):
            raise ValueError(f"constraints.txt:{number}: {content!r} must be name==version")
        found[normal(name)] = version
    return found


def needed(name: str) -> tuple[str, ...]:
    """Return the normal names of what an installed package needs, extras aside; () if it is not installed."""
    try:
        listed = requires(name) or []
    except PackageNotFoundError:
        return ()
    plain = (entry for entry in listed if not re.search(r";.*\bextra\s*==", entry))
    return tuple(sorted({normal(match.group()) for entry in plain if (match := _NAME.match(entry))}))


def closure(names: Iterable[str], known: Mapping[str, str]) -> set[str]:
    """Return the names and all that they need, as far as it is pinned."""
    found: set[str] = set()
    waiting = [name for name in names if name in known]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [inner for inner in needed(name) if inner in known]
    return found


def _names(entries: Iterable[str], project: Mapping[str, Any]) -> set[str]:
    """Return the normal names of requirements; those of an extra of our own are its members."""
    found: set[str] = set()
    for entry in entries:
        own = re.fullmatch(r"flyball\[([a-z,]+)\]", entry.replace(" ", ""))
        match = _NAME.match(entry)
        if own:
            for extra in own[1].split(","):
                found |= _names(project["optional-dependencies"][extra], project)
        elif match:
            found.add(normal(match.group()))
    return found


def scopes(project: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Return required, optional or excluded by normal name."""
    extras = project["optional-dependencies"]
    users = {entry for name, entries in extras.items() if name not in FOR_DEVELOPERS for entry in entries}
    required = closure(_names(project["dependencies"], project), known)
    optional = closure(_names(users, project), known)
    return {
        name: "required" if name in required else "optional" if name in optional else "excluded"
        for name in known
    }


def licences(name: str) -> list[dict[str, Any]]:
    """Return the licences of an installed package as CycloneDX wants them; [] if nothing is known."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return []
    expression = told.get("License-Expression")
    if expression:
        return [{"expression": expression}]
    words = [
        line.rsplit(" :: ", 1)[1]
        for line in told.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved :: ")
    ]
    field = str(told.get("License") or "")
    if not words and 0 < len(field) <= 60 and "\n" not in field:  # longer ones are whole licence texts
        words = [field]
    return [
        {"license": {"id": _LICENCES[word]} if word in _LICENCES else {"name": word}}
        for word in sorted(words)
    ]


def reference(name: str, version: str) -> str:
    """Return the Package URL.

    >>> reference("jinja2", "3.1.6")
    'pkg:pypi/jinja2@3.1.6'
    """
    return f"pkg:pypi/{name}@{version}"


def bill(project: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return the document.

    Args:
        project: The table `project` of pyproject.toml.
        known: Version by normal name.
    """
    scope = scopes(project, known)
    components = []
    for name, version in sorted(known.items()):
        ref = reference(name, version)
        found = {"type": "library", "bom-ref": ref, "name": name, "version": version, "purl": ref}
        component: dict[str, Any] = {**found, "scope": scope[name]}
        told = licences(name)
        if told:
            component["licenses"] = told
        components.append(component)
    own = reference(project["name"], project["version"])
    direct = sorted(name for name in _names(project["dependencies"], project) if name in known)
    edges = {own: [reference(name, known[name]) for name in direct]}
    for name, version in sorted(known.items()):
        inner = [reference(other, known[other]) for other in needed(name) if other in known]
        edges[reference(name, version)] = inner
    content: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "purl": own,
                "description": project["description"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": ref, "dependsOn": inner} if inner else {"ref": ref} for ref, inner in edges.items()
        ],
    }
    serial = uuid.uuid5(NAMESPACE, json.dumps(content, sort_keys=True))
    return {**content, "serialNumber": f"urn:uuid:{serial}"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bill of materials; print where."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ROOT / "dist" / f"flyball-{project['version']}.cdx.json"
    parser.add_argument("--out", type=Path, default=default, help="default: dist/flyball-VERSION.cdx.json")
    out: Path = parser.parse_args(arguments).out
    try:
        known = pinned((ROOT / "constraints.txt").read_text())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    document = bill(project, known)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n")
    counts = dict.fromkeys(("required", "optional", "excluded"), 0)
    for component in document["components"]:
        counts[component["scope"]] += 1
    told = ", ".join(f"{count} {scope}" for scope, count in counts.items())
    print(f"{out}: {len(document['components'])} packages ({told})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
