"""force: fluxes at given places, on any image."""

from diapipe.steps.force.force import force_at, force_on_pixels
from diapipe.steps.force.options import Force, LocalBackground
from diapipe.steps.force.static_light import StaticLight, left_of_stars

__all__ = ["Force", "LocalBackground", "StaticLight", "force_at", "force_on_pixels", "left_of_stars"]
