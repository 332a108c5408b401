"""The one error of this package: a template that AWS would refuse, or that cannot be run here."""

from __future__ import annotations


class TemplateError(ValueError):
    """`where` names the resource, parameter or condition at fault."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(f"{where}: {message}")
        self.where = where
