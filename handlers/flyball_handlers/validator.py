"""Entry point for AppConfig: the Lambda validator of the configuration profile.

AppConfig calls it before a deployment starts and rejects the version if it
raises. It applies the client's own reader, strictly: a document that a client
would refuse, or bend to its bounds, never leaves (A1). It knows no store and no
settings, so that it cannot fail for any other reason.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flyball.contract import DOCUMENT_BYTES_MAX, ContractError, decode_document
from flyball_controller.bounded import child, shown


def handler(event: Any, context: Any = None) -> None:
    """Accept a document by returning.

    Raises:
        ContractError: Why not; `field`, `value` and `bound` as attributes.
    """
    content = child(event, "content")
    if not isinstance(content, str):
        raise ContractError(
            f"content is {shown(content)}: it must be the document in base64",
            field="content",
            value=shown(content),
        )
    if len(content) > DOCUMENT_BYTES_MAX * 2:  # base64 of the largest document needs four thirds
        raise ContractError(
            f"content has {len(content)} characters: a document has at most {DOCUMENT_BYTES_MAX} bytes",
            field="content",
            value=f"{len(content)} characters",
            bound=f"{DOCUMENT_BYTES_MAX} bytes",
        )
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ContractError(
            f"content is {shown(content, 20)}: it must be base64", field="content", value=shown(content, 20)
        ) from error
    decode_document(data, strict=True)
