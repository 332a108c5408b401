"""Checks that are calls to AWS: a function that answers, a table that can be read.

Which functions and tables the probe may touch is the role's business (parameter
ProbePolicyArn of the template); a refusal by IAM therefore breaks the check and
says nothing about the target.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from flyball_controller.probes import Check

# (service, seconds that one call may take) -> client without retries: a check that needs two is not good.
MakeClient = Callable[[str, float], Any]
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"}
)
SERVING = frozenset({"ACTIVE", "UPDATING"})


class AwsCheckError(Exception):
    """The target is not well, or (`broken`) the check cannot be made; `code` is the word for it."""

    def __init__(self, code: str, *, broken: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.broken = broken


class AwsChecks:
    """Makes the calls. `make` gives a client for a service and a time-out."""

    def __init__(self, make: MakeClient) -> None:
        self._make = make

    def function(self, check: Check) -> None:
        """Invoke a function: a dry run (it exists, and we may), or with the policy's payload.

        Raises:
            AwsCheckError: It failed, or cannot be asked.
        """
        arguments: dict[str, object] = {"FunctionName": check.function, "InvocationType": "DryRun"}
        if check.payload:
            arguments |= {"InvocationType": "RequestResponse", "Payload": check.payload.encode()}
        reply = self._call("lambda", check, "invoke", arguments)
        body = reply.get("Payload")
        if body is not None:
            body.close()  # its size is the function's choice, and nobody reads it
        if "FunctionError" in reply:
            raise AwsCheckError("function-error")

    def table(self, check: Check) -> None:
        """Read an item (it need not exist), or ask for the table's status.

        Raises:
            AwsCheckError: It cannot be read, or does not serve.
        """
        if check.key:
            arguments = {"TableName": check.table, "Key": json.loads(check.key), "ConsistentRead": True}
            self._call("dynamodb", check, "get_item", arguments)
            return
        reply = self._call("dynamodb", check, "describe_table", {"TableName": check.table})
        if reply["Table"]["TableStatus"] not in SERVING:
            raise AwsCheckError("status")

    def _call(self, service: str, check: Check, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            reply: dict[str, Any] = getattr(self._make(service, check.timeout_s), operation)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in DENIED:
                raise AwsCheckError("denied", broken=True) from error
            throttled = "Throttl" in code or code == "TooManyRequestsException"
            raise AwsCheckError("throttled" if throttled else "error") from error
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            raise AwsCheckError("timeout") from error
        except (NoConnectionError, HTTPClientError) as error:
            raise AwsCheckError("unreachable") from error
        except BotoCoreError as error:  # no credentials, no region, an argument that AWS does not know
            raise AwsCheckError("misconfigured", broken=True) from error
        return reply
