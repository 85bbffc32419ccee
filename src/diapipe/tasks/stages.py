"""What the stages of `ImageDifferenceTask` hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.images import Difference, Exposure
from diapipe.steps.characterize import Characterized
from diapipe.steps.clean import Cleaned
from diapipe.steps.match import Match
from diapipe.steps.template import AlignedTemplate, Registration, SipRegistration
from diapipe.tasks.kernel_sources import ChosenSources


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Both images as characterized.

    Attributes
    ----------
    science, template
        The template is None where a finished difference is given without one.
    sip_registration
        How the template's WCS was fitted anew, if it was.
    """

    science: Characterized
    template: Characterized | None
    sip_registration: SipRegistration | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A difference, and what it was made of; only the difference is there where it was given.

    Attributes
    ----------
    difference
        Science minus template.
    chosen
        Stars of the kernel.
    aligned, registration
        The template on the science grid, and the displacement measured for it.
    match
        The kernel.
    cleaned
        What of cosmic rays and streaks was flagged.
    score
        The score image, where one is searched.
    """

    difference: Difference
    chosen: ChosenSources | None = None
    aligned: AlignedTemplate | None = None
    registration: Registration | None = None
    match: Match | None = None
    cleaned: Cleaned | None = None
    score: Exposure | None = None
