"""classify: how far to believe that a source is a change of the sky, and no artefact."""

from diapipe.steps.classify.base import AbstractClassifier
from diapipe.steps.classify.classification import RELIABILITY, RELIABILITY_VERSION, classify
from diapipe.steps.classify.features import feature_columns, feature_table
from diapipe.steps.classify.model import PACKAGED, Model, read_model
from diapipe.steps.classify.trees import BoostedTrees
from diapipe.steps.family import Family

CLASSIFIERS: Family[AbstractClassifier] = Family("classify", {"trees": BoostedTrees}, group="diapipe.classifiers")
"""Ways to classify, by name; other packages add theirs by the entry-point group ``diapipe.classifiers``."""

__all__ = [
    "CLASSIFIERS",
    "PACKAGED",
    "RELIABILITY",
    "RELIABILITY_VERSION",
    "AbstractClassifier",
    "BoostedTrees",
    "Model",
    "classify",
    "feature_columns",
    "feature_table",
    "read_model",
]
