"""warp: interpolate an exposure onto other pixels. No step of the flow: what `template` and `coadd` both stand on."""

from diapipe.steps.family import Family
from diapipe.steps.warp.base import AbstractWarp, empty
from diapipe.steps.warp.lanczos import LanczosWarp
from diapipe.steps.warp.through import How, through
from diapipe.steps.warp.wiener import WienerWarp

WARPS: Family[AbstractWarp] = Family("warp", {"wiener": WienerWarp, "lanczos": LanczosWarp})

__all__ = ["WARPS", "AbstractWarp", "How", "LanczosWarp", "WienerWarp", "empty", "through"]
