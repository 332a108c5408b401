"""Thresholds over a recorded history: baselines, when rules would have fired, fixed or adaptive.

metric      one metric of one target, from a CSV file
firings     when a rule would have fired: detectors on values, the production step on counts
faults      faults of a stated size in a recorded history
rules       the rules that are held beside each other
season      the learned baseline in a few numbers
tradeoff    multiples and half-lives: false firings against what is missed
recommend   stay fixed, move to adaptive, or not enough data
analysis    all of it for one metric: `analyse`
frames      the same for data frames: frame in, frames out
text, plain, picture   for people, for programs, as a picture
"""

from flyball_analytics.thresholds.analysis import Analysis, analyse
from flyball_analytics.thresholds.metric import Metric, metrics_of, read_metrics
from flyball_analytics.thresholds.recommend import Advice, Recommendation

__all__ = ["Advice", "Analysis", "Metric", "Recommendation", "analyse", "metrics_of", "read_metrics"]
