"""What can be chosen in the measurement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from diapipe.steps.limits import Limited
from diapipe.steps.measure.aperture_corrections import ApertureCorrections
from diapipe.steps.measure.dipoles import Dipoles
from diapipe.steps.measure.glints import Glints
from diapipe.steps.measure.quality import Cuts
from diapipe.steps.measure.trails import Trails


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(Limited):
    """Parameters of the measurement.

    Attributes
    ----------
    stamp_fwhm
        Half-width of the stamps that the PSF is fitted on, in PSF FWHM; beyond 2 lie 1e-4 of the weight.
    max_shift_px
        A centroid farther than this from its peak is refused (`centroid_flag`), and the peak's position kept; at 0 all
        are.
    aperture_fwhm
        Radius of the aperture in PSF FWHM: 2.5 hold 98% of a Moffat star's light.
    aperture_px
        Radius of the aperture in pixels instead, the same on all images; None for none.
    moments_fwhm
        Pixels within this many PSF FWHM enter the second moments.
    sign_fwhm
        Radius in which positive and negative light are compared, PSF FWHM.
    core_fwhm
        Radius in which the light of the static sky is looked up, PSF FWHM.
    star_fwhm
        A star this near, in PSF FWHM, can leave a residual that looks like a source.
    own_fwhm
        What lies within this many PSF FWHM of a source does not count for its surroundings.
    line_from_fwhm, line_to_fwhm
        Between these distances from a source, in PSF FWHM, the row and the column that it lies on are looked at.
    fit_dipoles
        Whether dipoles are fitted; without, nothing is called one.
    dipoles
        Which detections are fitted, and which are called dipoles.
    aperture_corrections
        Which fluxes are brought onto the scale of aperture fluxes.
    fit_trails
        Whether trails are fitted; without, nothing is called one.
    trails
        Which detections are fitted as a trail, and which are called one.
    glints
        When sources are taken for those of one satellite.
    cuts
        When `dp_bad` is set.
    """

    may_be_zero = ("max_shift_px",)

    stamp_fwhm: float = 2.0
    max_shift_px: float = 2.5
    aperture_fwhm: float = 2.5
    aperture_px: float | None = None
    moments_fwhm: float = 2.5
    sign_fwhm: float = 1.25
    core_fwhm: float = 1.0
    star_fwhm: float = 4.0
    own_fwhm: float = 1.5
    line_from_fwhm: float = 2.0
    line_to_fwhm: float = 12.0
    fit_dipoles: bool = True
    dipoles: Dipoles = field(default_factory=Dipoles)
    aperture_corrections: ApertureCorrections = field(default_factory=ApertureCorrections)
    fit_trails: bool = True
    trails: Trails = field(default_factory=Trails)
    glints: Glints = field(default_factory=Glints)
    cuts: Cuts = field(default_factory=Cuts)

    def at_given_places(self) -> Measure:
        """The same for empty sky: no place moves to where the flux is largest, nothing is fitted as dipole or trail."""
        return replace(self, max_shift_px=0.0, fit_dipoles=False, fit_trails=False)
