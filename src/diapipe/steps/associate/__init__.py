"""associate: which sources of many images are one object."""

from collections.abc import Iterable

from diapipe.catalogs.association import Association, ObjectPositions, SetAside
from diapipe.catalogs.source_batch import SourceBatch
from diapipe.steps.associate.base import AbstractAssociator
from diapipe.steps.associate.bipartite import BipartiteAssociator
from diapipe.steps.associate.earlier import associated_before
from diapipe.steps.associate.multimatch import MultiMatchAssociator
from diapipe.steps.associate.sequential import SequentialAssociator
from diapipe.steps.associate.simple import SimpleAssociator
from diapipe.steps.family import Family

ASSOCIATORS: Family[AbstractAssociator] = Family(
    "associate",
    {"bipartite": BipartiteAssociator, "simple": SimpleAssociator, "multimatch": MultiMatchAssociator},
    group="diapipe.associators",
)
"""Ways to associate, by name; other packages add theirs by the entry-point group ``diapipe.associators``."""


def associate(
    batches: Iterable[SourceBatch],
    *,
    known: Association | None = None,
    algorithm: AbstractAssociator | None = None,
) -> Association:
    """Sources of many images to objects.

    Parameters
    ----------
    batches
        One of each visit and detector, in the order in which they may found objects: what is known of the sky first,
        then by time. An object has the identifier of the source that founded it, so identifiers are the same wherever
        and however often this is done. Rows of one batch may come in any order.
    known
        What was associated before (`associated_before`): new sources join its objects, none of which changes its
        identifier.
    algorithm
        A member of `ASSOCIATORS`; the default is `BipartiteAssociator`.

    Returns
    -------
    Association
        The object of each source, and where the objects are. Sources without a position and those given twice are set
        aside with the reason.
    """
    return (algorithm or BipartiteAssociator()).associate(batches, known or Association.empty())


__all__ = [
    "ASSOCIATORS",
    "AbstractAssociator",
    "Association",
    "BipartiteAssociator",
    "MultiMatchAssociator",
    "ObjectPositions",
    "SequentialAssociator",
    "SetAside",
    "SimpleAssociator",
    "SourceBatch",
    "associate",
    "associated_before",
]
