"""inject: sources of known truth put into images, to see what becomes of them."""

from diapipe.steps.inject.adding import inject, photons_per_count, plus_light
from diapipe.steps.inject.choosing import Injection, choose
from diapipe.steps.inject.given import Scale, given_on, why_none
from diapipe.steps.inject.movers import choose_movers
from diapipe.steps.inject.pair import InjectedPair, inject_pair

__all__ = [
    "InjectedPair",
    "Injection",
    "Scale",
    "choose",
    "choose_movers",
    "given_on",
    "inject",
    "inject_pair",
    "photons_per_count",
    "plus_light",
    "why_none",
]
