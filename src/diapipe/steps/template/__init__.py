"""template: bring the template onto the science grid, as the WCSs and the stars say."""

from diapipe.steps.family import Family
from diapipe.steps.template.base import AbstractWarp
from diapipe.steps.template.lanczos import LanczosWarp
from diapipe.steps.template.mapping import template_positions
from diapipe.steps.template.registration import Register, Registration, register
from diapipe.steps.template.warp import AlignedTemplate, warp_onto
from diapipe.steps.template.wiener import WienerWarp

WARPS: Family[AbstractWarp] = Family("warp", {"wiener": WienerWarp, "lanczos": LanczosWarp})

__all__ = [
    "WARPS",
    "AbstractWarp",
    "AlignedTemplate",
    "LanczosWarp",
    "Register",
    "Registration",
    "WienerWarp",
    "register",
    "template_positions",
    "warp_onto",
]
