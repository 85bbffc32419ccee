"""template: bring the template onto the science grid, as the WCSs and the stars say."""

from diapipe.steps.template.lanczos import LanczosWarp
from diapipe.steps.template.mapping import template_positions
from diapipe.steps.template.registration import Register, Registration, register
from diapipe.steps.template.warp import AlignedTemplate, warp_onto

__all__ = [
    "AlignedTemplate",
    "LanczosWarp",
    "Register",
    "Registration",
    "register",
    "template_positions",
    "warp_onto",
]
