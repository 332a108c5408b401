"""Faults of the embedded CloudWatch, by the code a caller of the real service would see.

Two kinds. `PointError` is a data fault found by the store; it names the field,
the value and the bound, and knows no protocol. `CloudWatchError` is the answer
on the wire: code, message, HTTP status. Decide on the code, never on the text.
"""

from __future__ import annotations

HTTP_BAD_REQUEST = 400

# Shape name on the wire by error code: the JSON protocol sends the shape, the
# header x-amzn-query-error the code (the service was once a query service).
# Source: botocore service model "cloudwatch", shapes with an error trait.
_SHAPES = {
    "ValidationError": "ValidationException",
    "InvalidParameterValue": "InvalidParameterValueException",
    "InvalidParameterCombination": "InvalidParameterCombinationException",
    "MissingParameter": "MissingRequiredParameterException",
    "InvalidFormat": "InvalidFormatFault",
    "LimitExceeded": "LimitExceededFault",
}
_STATUS = {"ResourceNotFound": 404, "ResourceConflict": 409}


class PointError(ValueError):
    """A data point the store does not take; `field` says which part of it, `value` what came."""

    def __init__(self, message: str, *, field: str, value: object) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


class CloudWatchError(Exception):
    """An error answer of the service.

    Args:
        code: What `ClientError.response["Error"]["Code"]` will be.
        message: For people: which field, which value, which bound, what to do.

    >>> CloudWatchError("ValidationError", "no").shape
    'ValidationException'
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def shape(self) -> str:
        """Name of the modelled error shape."""
        return _SHAPES.get(self.code, self.code)

    @property
    def status(self) -> int:
        """HTTP status, 4xx."""
        return _STATUS.get(self.code, HTTP_BAD_REQUEST)
