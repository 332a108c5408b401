"""What AppConfig answers instead of a result: declared errors, and the two ways a call can get none.

Codes, statuses and fields are those of the botocore models; contractcheck holds
the emulator to them. Message texts are ours where no recording of AWS's exists:
callers must decide on codes.
"""

from __future__ import annotations

from typing import Any

# HTTP status per code (botocore models appconfig 2019-10-09, appconfigdata
# 2021-11-11). ThrottlingException is a common error in the control plane.
STATUS = {
    "BadRequestException": 400,
    "ServiceQuotaExceededException": 402,
    "ResourceNotFoundException": 404,
    "ConflictException": 409,
    "PayloadTooLargeException": 413,
    "ThrottlingException": 429,
    "InternalServerException": 500,
}


class ServiceError(Exception):
    """An error response: `code` as in the model, HTTP `status`, and the model's extra `fields`."""

    def __init__(self, code: str, message: str, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = STATUS[code]
        self.message = message
        self.fields = fields


class LostReplyError(Exception):
    """The caller waits in vain. `took_effect` is what it cannot know: whether the call was carried out."""

    def __init__(self, operation: str, *, took_effect: bool) -> None:
        super().__init__(
            f"{operation}: no reply (the call {'was' if took_effect else 'was not'} carried out)"
        )
        self.operation = operation
        self.took_effect = took_effect


class NotEmulatedError(Exception):
    """AppConfig can do this, the emulator cannot; never answered as if AppConfig had refused it."""


def bad_request(message: str, **fields: Any) -> ServiceError:
    """Return the error of a request that breaks a rule."""
    return ServiceError("BadRequestException", message, **fields)


def conflict(message: str) -> ServiceError:
    """Return the error of a request that met another state than it assumed."""
    return ServiceError("ConflictException", message)
