"""Reference algorithms, as clients that the closed-loop plant can drive in place of the real one.

Each is written from its published formula and defaults, so that a claim of the
form "better than X" is about X and not about a straw man.

    base        one environment's view of a target, and the rules' interface
    retries     fixed numbers of retries, and the ladder rule that switches them
    budgets     what share of the traffic may be repeated
    throttles   refusing or delaying in proportion
    breakers    cutting off
    registry    all of them by name
"""

from flyball_analytics.references.registry import REFERENCES, Reference, plant_targets, reference

__all__ = ["REFERENCES", "Reference", "plant_targets", "reference"]
