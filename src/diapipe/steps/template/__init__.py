"""template: bring the template onto the science grid, as the WCSs and the stars say."""

from diapipe.steps.family import Family
from diapipe.steps.template.base import AbstractWarp
from diapipe.steps.template.lanczos import LanczosWarp
from diapipe.steps.template.mapping import template_positions
from diapipe.steps.template.registration import Register, Registration, register
from diapipe.steps.template.sip_registration import (
    ColourOffset,
    RegisterSip,
    SipRegistration,
    offsets_by_colour,
    register_sip,
)
from diapipe.steps.template.warp import AlignedTemplate, warp_onto
from diapipe.steps.template.wiener import WienerWarp

WARPS: Family[AbstractWarp] = Family("warp", {"wiener": WienerWarp, "lanczos": LanczosWarp})

__all__ = [
    "WARPS",
    "AbstractWarp",
    "AlignedTemplate",
    "ColourOffset",
    "LanczosWarp",
    "Register",
    "RegisterSip",
    "Registration",
    "SipRegistration",
    "WienerWarp",
    "offsets_by_colour",
    "register",
    "register_sip",
    "template_positions",
    "warp_onto",
]
