"""What every detector has: one method."""

from __future__ import annotations

from abc import ABC, abstractmethod

from diapipe.images import Detections, Exposure
from diapipe.steps.limits import Limited


class AbstractDetector(Limited, ABC):
    """A way to find sources on a difference image."""

    @abstractmethod
    def detect(self, difference: Exposure, *, n_threads: int = 1) -> Detections:
        """Find what changed.

        Parameters
        ----------
        difference
            With its PSF.
        n_threads
            Threads to use; the result does not depend on it.
        """
