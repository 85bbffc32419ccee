"""LanczosWarp: the classical way."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.numerics.interpolant import Interpolant
from diapipe.steps.warp.base import AbstractWarp


@dataclass(frozen=True, slots=True, kw_only=True)
class LanczosWarp(AbstractWarp):
    """Lanczos-3 interpolation, as the LSST pipelines do: sharp where pixels coincide, softer in between."""

    def plain_interpolant(self) -> Interpolant:
        """Lanczos-3."""
        return Interpolant()
