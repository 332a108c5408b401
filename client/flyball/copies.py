"""Notice when this process has become a copy of another, and let its Runtimes begin anew.

Two ways lead here: a fork (a web server's workers), and a restore from a
snapshot (Lambda SnapStart), of which a thousand may be made at once. What was
read before is old, and what was counted, saved or begun belongs to the original.

A freeze needs no notice: whoever asks for freshness asks both clocks (K6).
Random numbers need no new seed: they come from the kernel, which seeds itself
anew on restore; a generator of ours would draw the same jitter in every copy.
Source: AWS Lambda Developer Guide, "Lambda SnapStart runtime hooks for Python"
and "Handling uniqueness with Lambda SnapStart".
"""

from __future__ import annotations

import os
from _weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flyball.environment import Runtime

_runtimes: list[ref[Runtime]] = []


def watch_for_copies(shared: Runtime) -> None:
    """Let `shared` be renewed in every copy of this process, as long as it lives."""
    if not _runtimes:
        _register()
    _runtimes[:] = [known for known in _runtimes if known() is not None]
    _runtimes.append(ref(shared))


def renew_all() -> None:
    """Renew every Runtime. Raises nothing: an error here would fail the restore, and with it the function."""
    for known in _runtimes:
        shared = known()
        if shared is not None:
            try:  # noqa: SIM105 - contextlib is one import more for every cold start
                shared.renew()
            except Exception:  # noqa: BLE001, S110
                pass


def _register() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew_all)
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        from importlib import import_module

        try:
            # Part of Lambda's managed Python runtimes from 3.12 on, and of nothing else.
            import_module("snapshot_restore_py").register_after_restore(renew_all)
        except ImportError:
            return
