"""Skies and exposures of known truth: `simulate_pair` makes a science image, a template, and what is true of them."""

from diapipe.simulate.geometry import Geometry
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.pair import SimulatedPair, simulate_pair
from diapipe.simulate.spec import PairSpec

__all__ = ["Geometry", "MoffatFieldPsf", "PairSpec", "SimulatedPair", "simulate_pair"]
