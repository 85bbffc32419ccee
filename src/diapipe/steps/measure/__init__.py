"""measure: what each detection is, as one row of the DIA source table."""

from diapipe.steps.measure.aperture_corrections import ApertureCorrections
from diapipe.steps.measure.force import force
from diapipe.steps.measure.glints import Glints
from diapipe.steps.measure.measurement import measure
from diapipe.steps.measure.options import Measure
from diapipe.steps.measure.quality import Cuts
from diapipe.steps.measure.sky_sources import with_sky_sources

__all__ = ["ApertureCorrections", "Cuts", "Glints", "Measure", "force", "measure", "with_sky_sources"]
