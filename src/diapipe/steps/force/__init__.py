"""force: fluxes at given places, on any image."""

from diapipe.steps.force.apertures import aperture_name
from diapipe.steps.force.force import force_at, force_on_pixels
from diapipe.steps.force.force_catalog import force_catalog
from diapipe.steps.force.forced_sources import forced_sources
from diapipe.steps.force.options import Force, LocalBackground
from diapipe.steps.force.static_light import with_static_error
from diapipe.steps.force.template_objects import TEMPLATE_APERTURES_PX, template_objects

__all__ = [
    "TEMPLATE_APERTURES_PX",
    "Force",
    "LocalBackground",
    "aperture_name",
    "force_at",
    "force_catalog",
    "force_on_pixels",
    "forced_sources",
    "template_objects",
    "with_static_error",
]
