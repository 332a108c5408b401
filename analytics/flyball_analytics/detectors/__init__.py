"""Detectors on a series of values: ours and the references, causal, behind one small protocol.

base       the protocol (`Detector.feed`), the verdict, what an entry of the registry holds
registry   all of them by name: `new_detector(name, rows=...)`
"""

from flyball_analytics.detectors.base import Detector, DetectorEntry, UnknownDetector, Verdict
from flyball_analytics.detectors.registry import DETECTORS, OURS, detector_names, new_detector

__all__ = [
    "DETECTORS",
    "OURS",
    "Detector",
    "DetectorEntry",
    "UnknownDetector",
    "Verdict",
    "detector_names",
    "new_detector",
]
