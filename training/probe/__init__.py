"""The linear probe: logistic regression on pooled layers of a frozen encoder, the baseline beside every head.

from emostream.training.probe import probe

report = probe(["my-clips", "ravdess/manifest.csv"])
print(report.table())
"""

from .report import ProbeReport, ProbeRow
from .run import probe

__all__ = ["ProbeReport", "ProbeRow", "probe"]
