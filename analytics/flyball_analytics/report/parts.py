"""What every page of ours is made of: templates, style and script from beside the code, named by digest.

A page's content security policy forbids every load, and names its own style and
script by digest: what opens from disk today opens so in ten years.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from flyball_analytics.problems import MissingPackageError

FOLDER = Path(__file__).parent


def script_json(value: Mapping[str, object]) -> str:
    """Return JSON that no name of a target can end the script element with.

    >>> script_json({"a": "</script>"})
    '{"a":"\\\\u003c/script>"}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@lru_cache(maxsize=8)
def asset(path: Path) -> str:
    """Return the text of a style or script."""
    return path.read_text(encoding="utf-8")


def digest(content: str) -> str:
    """Return how a content security policy names an inline element.

    >>> digest("")
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def rendered(name: str, context: Mapping[str, object], *, folder: Path = FOLDER) -> bytes:
    """Return a page: a template filled, with the common style and script.

    Args:
        name: The template, in `folder`; it may import `macros.html.j2` of this package.
        context: What it shows; `style`, `script` and their digests are added.
        folder: Where the template is.

    Raises:
        MissingPackageError: If jinja2 is not installed; names the extra.
    """
    style, code = asset(FOLDER / "style.css"), asset(FOLDER / "page.js")
    page: str = (
        _environment(folder)
        .get_template(name)
        .render(
            {
                **context,
                "style": style,
                "script": code,
                "style_hash": digest(style),
                "script_hash": digest(code),
            }
        )
    )
    return (page.rstrip("\n") + "\n").encode("utf-8", "replace")  # arguments may hold other bytes


@lru_cache(maxsize=4)
def _environment(folder: Path) -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingPackageError(
            f"a page needs the Python package {error.name!r}: pip install 'flyball[report]'", path="report"
        ) from error
    return Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
