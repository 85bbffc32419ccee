"""force: fluxes at given places, on any image."""

from diapipe.steps.force.force import force_at, force_on_pixels
from diapipe.steps.force.options import Force, LocalBackground

__all__ = ["Force", "LocalBackground", "force_at", "force_on_pixels"]
