"""template: get a template and bring it onto the science grid, as the WCSs and the stars say."""

from diapipe.steps.family import Family
from diapipe.steps.template.dcr import Dcr
from diapipe.steps.template.gather import AbstractTemplate, TemplateInput
from diapipe.steps.template.homogenize import homogenize
from diapipe.steps.template.mapping import template_positions
from diapipe.steps.template.multi_tract import MultiTract
from diapipe.steps.template.one_visit import OneVisit
from diapipe.steps.template.registration import AbstractRegister, Register, Registration, register
from diapipe.steps.template.single_tract import SingleTract
from diapipe.steps.template.sip_registration import (
    ColourOffset,
    RegisterSip,
    SipRegistration,
    offsets_by_colour,
    register_sip,
    residual_columns,
)
from diapipe.steps.template.template_for import template_for
from diapipe.steps.template.warp import AlignedTemplate, warp_onto
from diapipe.steps.warp import WARPS, AbstractWarp, LanczosWarp, WienerWarp

REGISTERS: Family[AbstractRegister] = Family("register", {"displacement": Register, "sip": RegisterSip})
TEMPLATES: Family[AbstractTemplate] = Family(
    "get a template",
    {"multi_tract": MultiTract, "single_tract": SingleTract, "one_visit": OneVisit, "dcr": Dcr},
)

__all__ = [
    "REGISTERS",
    "TEMPLATES",
    "WARPS",
    "AbstractRegister",
    "AbstractTemplate",
    "AbstractWarp",
    "AlignedTemplate",
    "ColourOffset",
    "Dcr",
    "LanczosWarp",
    "MultiTract",
    "OneVisit",
    "Register",
    "RegisterSip",
    "Registration",
    "SingleTract",
    "SipRegistration",
    "TemplateInput",
    "WienerWarp",
    "homogenize",
    "offsets_by_colour",
    "register",
    "register_sip",
    "residual_columns",
    "template_for",
    "template_positions",
    "warp_onto",
]
