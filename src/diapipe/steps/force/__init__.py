"""force: fluxes at given places, on any image."""

from diapipe.steps.force.force import force_at, force_on_pixels
from diapipe.steps.force.forced_sources import forced_sources
from diapipe.steps.force.options import Force, LocalBackground
from diapipe.steps.force.static_light import error_with_static_light, with_static_error

__all__ = [
    "Force",
    "LocalBackground",
    "error_with_static_light",
    "force_at",
    "force_on_pixels",
    "forced_sources",
    "with_static_error",
]
