"""The environment variables a handler process gets: all of them written down here, none inherited.

A handler must see what Lambda would give it and nothing of the machine: a
parent's AWS_PROFILE, proxy or PYTHONPATH would make a test pass or fail for
reasons that do not exist in production.

Source: AWS Lambda developer guide, "Using Lambda environment variables".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flyball_local.isolated import ACCESS_KEY, SECRET_KEY

# Only what the interpreter itself may need to start.
INHERITED = ("LD_LIBRARY_PATH",)
RESERVED_PREFIXES = ("AWS_LAMBDA_", "LAMBDA_", "_")


class FunctionSettings(NamedTuple):
    """What Lambda knows of a function. `python_path` holds source roots put before the task root."""

    handler: str
    name: str = "local"
    region: str = "eu-west-1"
    account: str = "000000000000"
    memory_mb: int = 128
    timeout_s: float = 30.0
    init_timeout_s: float = 10.0
    task_root: Path = Path()
    python_path: Sequence[Path] = ()
    variables: Mapping[str, str] = {}

    @property
    def arn(self) -> str:
        """The unqualified ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"


def check_settings(settings: FunctionSettings) -> None:
    """Raise ValueError for settings Lambda would refuse."""
    if "." not in settings.handler:
        raise ValueError(f'handler={settings.handler!r} must be "module.function"')
    if not settings.timeout_s > 0.0 or not settings.init_timeout_s > 0.0:
        raise ValueError(
            f"timeout_s={settings.timeout_s} and init_timeout_s={settings.init_timeout_s} must be above 0"
        )
    for name in settings.variables:
        if name.startswith(RESERVED_PREFIXES):
            raise ValueError(f"variables: {name} is reserved by Lambda and is set by the host itself")


def process_variables(settings: FunctionSettings, api_address: str, environment: int) -> dict[str, str]:
    """Return the complete environment of one handler process.

    The function's own variables come last: they may replace the example
    credentials and add endpoints (AWS_ENDPOINT_URL_…).
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    root = str(settings.task_root.resolve())
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join([*(str(p.resolve()) for p in settings.python_path), root]),
        "PYTHONUNBUFFERED": "1",
        "LAMBDA_TASK_ROOT": root,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "_HANDLER": settings.handler,
        "AWS_LAMBDA_RUNTIME_API": api_address,
        "AWS_LAMBDA_FUNCTION_NAME": settings.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{settings.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{environment}",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        # Without these the SDK would look into the user's home directory and ask for instance metadata.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **settings.variables,
    }
