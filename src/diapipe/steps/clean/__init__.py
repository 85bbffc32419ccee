"""clean: what on a difference is not of the sky, set in its mask before anything is searched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from diapipe.images import Difference
from diapipe.steps.clean.cosmic_rays import CosmicRays, mask_cosmic_rays
from diapipe.steps.clean.streaks import AMONG_STARS, Streak, Streaks, mask_streaks
from diapipe.steps.limits import Limited

__all__ = [
    "AMONG_STARS",
    "Clean",
    "Cleaned",
    "CosmicRays",
    "Streak",
    "Streaks",
    "clean",
    "mask_cosmic_rays",
    "mask_streaks",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean(Limited):
    """What is looked for; None leaves it out.

    Attributes
    ----------
    cosmic_rays
        Hits that the images' own masks do not have.
    streaks
        Trails of satellites.
    among_stars
        Bright ones, on either image before it is subtracted, whose kernel they would spoil.
    """

    cosmic_rays: CosmicRays | None = field(default_factory=CosmicRays)
    streaks: Streaks | None = field(default_factory=Streaks)
    among_stars: Streaks | None = AMONG_STARS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cleaned:
    """A difference with its mask completed.

    Attributes
    ----------
    difference
        As given, with more planes set.
    n_cosmic_ray_pixels
        Pixels that got CR or CR_TEMPLATE.
    streaks
        What got STREAK or STREAK_TEMPLATE; in the flow also what had STREAK on the science image already.
    """

    difference: Difference
    n_cosmic_ray_pixels: int = 0
    streaks: tuple[Streak, ...] = ()


def clean(difference: Difference, *, options: Clean | None = None) -> Cleaned:
    """Set the planes of cosmic rays and streaks.

    Parameters
    ----------
    difference
        Science minus template.
    options
        What is looked for; the defaults where left out.
    """
    options = options or Clean()
    exposure, n = difference.exposure, 0
    streaks: list[Streak] = []
    if options.cosmic_rays is not None:
        exposure, n = mask_cosmic_rays(exposure, options=options.cosmic_rays)
    if options.streaks is not None:
        exposure, streaks = mask_streaks(exposure, options=options.streaks)
    return Cleaned(difference=replace(difference, exposure=exposure), n_cosmic_ray_pixels=n, streaks=tuple(streaks))
