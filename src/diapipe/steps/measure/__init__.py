"""measure: what each detection is, as one row of the DIA source table."""

from diapipe.steps.measure.measurement import measure
from diapipe.steps.measure.options import Measure
from diapipe.steps.measure.quality import Cuts

__all__ = ["Cuts", "Measure", "measure"]
