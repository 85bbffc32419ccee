"""measure: what each detection is, as one row of the DIA source table."""

from diapipe.steps.measure.aperture_corrections import ApertureCorrections
from diapipe.steps.measure.force import force
from diapipe.steps.measure.measurement import measure
from diapipe.steps.measure.options import Measure
from diapipe.steps.measure.quality import Cuts

__all__ = ["ApertureCorrections", "Cuts", "Measure", "force", "measure"]
