"""Components and cut-outs of exposures and differences that are in memory already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsst.daf.butler import StorageClassDelegate

from diapipe.images.exposure import Difference, Exposure

_OF_DIFFERENCE = ("kernel", "background")


class ExposureDelegate(StorageClassDelegate):
    """Takes an `Exposure` or a `Difference` apart by the names of its storage class."""

    def can_accept(self, inMemoryDataset: Any) -> bool:
        """Whether it is of the storage class's own kind, so that nothing is to be converted."""
        return isinstance(inMemoryDataset, self.storageClass.pytype)

    def getComponent(self, composite: Exposure | Difference, componentName: str) -> Any:
        """The part of that name; AttributeError if there is none."""
        exposure = exposure_of(composite)
        if componentName == "bbox":
            return exposure.box
        if componentName == "mask":
            return exposure.masked_image.mask
        return getattr(composite if componentName in _OF_DIFFERENCE else exposure, componentName)

    def handleParameters(
        self, inMemoryDataset: Exposure | Difference, parameters: Mapping[str, Any] | None = None
    ) -> Exposure | Difference:
        """The part in the parameter ``bbox``; BoundsError if it sticks out."""
        box = (parameters or {}).get("bbox")
        return inMemoryDataset if box is None else inMemoryDataset[box]


def exposure_of(dataset: Exposure | Difference) -> Exposure:
    """The exposure that a difference is, or the exposure itself."""
    return dataset.exposure if isinstance(dataset, Difference) else dataset
