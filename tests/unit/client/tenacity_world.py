"""A target, and tenacity's decorators on the same manual clock."""

from __future__ import annotations

from typing import Any

import tenacity

from flyball.contract import DEFAULT_PARAMS, RetryParams
from flyball.interop.tenacity import obey
from unit.client.support import PaymentError, World

GENEROUS = DEFAULT_PARAMS._replace(retry=RetryParams(budget_ratio=3.0))
DOWN = PaymentError("down")


class TenacityWorld(World):
    """A target with budget to spare, and tenacity waiting on its clock."""

    def __init__(self, params: Any = GENEROUS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.handle = self.target()
        self.handle.target.apply_params(params, 1)

    def retrying(self, *script: object, **pieces: Any) -> Any:
        told = {"reraise": True, "sleep": self.clock.sleep, **pieces}
        return tenacity.retry(**told)(self.function(*script))

    def obedient(self, *script: object, **pieces: Any) -> Any:
        return self.retrying(*script, **{**obey(self.handle), **pieces})
