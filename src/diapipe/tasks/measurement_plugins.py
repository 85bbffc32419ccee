"""What the measurement measures, by the names of LSST's plugins: which columns of the table each of them fills."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.pex.config import Config, Field, ListField, RegistryField, makeRegistry

from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.steps.measure import Measure
from diapipe.steps.measure.dipoles import Dipoles
from diapipe.steps.measure.trails import Trails
from diapipe.tasks.fields import OptionConfig, idle, option

measurementPluginRegistry = makeRegistry("What is measured at a source, by the names of LSST's plugins.")

DIPOLES = "ip_diffim_DipoleFit"
TRAILS = "ext_trailedSources_Naive"
CENTROID = "base_SdssCentroid"
APERTURE = "base_CircularApertureFlux"

_COLUMNS = {
    "base_PsfFlux": ("psfFlux", "psfChi2", "psfNdata", "snr"),
    APERTURE: ("apFlux",),
    "base_SdssShape": ("ixx", "iyy", "ixy", "shape_flag"),
    "base_PixelFlags": ("pixelFlags",),
    "base_ClassificationSizeExtendedness": ("extendedness",),
}
"""Beginnings of the columns that a plugin fills; the fits of dipoles and trails are left out by the measurement."""

_ALWAYS = {
    **dict.fromkeys(
        (CENTROID, "base_NaiveCentroid", "base_PeakCentroid", "ip_diffim_NaiveDipoleCentroid"),
        "x and y are those of the PSF fit, with errors",
    ),
    "base_SkyCoord": "ra and dec are always there",
    **dict.fromkeys(("base_LocalPhotoCalib", "base_LocalWcs"), "fluxes are in nJy and positions on the sky already"),
    **dict.fromkeys(
        ("base_PeakLikelihoodFlux", "base_GaussianFlux"), "psfFlux is measured where the source is, on white noise"
    ),
    **dict.fromkeys(
        ("ip_diffim_NaiveDipoleFlux", "ip_diffim_PsfDipoleFlux", "ip_diffim_ClassificationDipole"),
        f"the columns of {DIPOLES} hold it",
    ),
    "base_LocalBackground": "the background of a difference is fitted and taken out before",
}
"""Plugins that change nothing here, and why."""


def _slot(what: str) -> Any:
    """The field of one slot."""
    meaning = f"Plugin that measures the {what}; without effect: a column has one name, that of Rubin's table."
    return Field(dtype=str, default=None, optional=True, doc=meaning)


class SlotConfig(Config):
    """Which plugin stands for a kind of measurement; kept for older configurations, without effect."""

    centroid: Any = _slot("centroid")
    shape: Any = _slot("shape")
    psfShape: Any = _slot("shape of the PSF")
    apFlux: Any = _slot("aperture flux")
    psfFlux: Any = _slot("PSF flux")
    modelFlux: Any = _slot("flux of a model")
    gaussianFlux: Any = _slot("flux of a Gaussian")
    calibFlux: Any = _slot("flux of stars for calibration")


class PluginConfig(Config):
    """Config of a plugin without parameters."""


class CentroidConfig(OptionConfig):
    """Config of the centroid."""

    maxDistToPeak: Any = option(Measure, "max_shift_px")


class ApertureFluxConfig(OptionConfig):
    """Config of the aperture flux."""

    radii: Any = ListField(
        dtype=float,
        default=[],
        doc="Radius of the aperture in pixels, one; without, apertureRadius in FWHM of the PSF.",
    )

    @property
    def radius(self) -> float | None:
        """The one radius in pixels, if it was set."""
        return self.radii[0] if self.radii else None

    def validate(self) -> None:
        """Refuse what one aperture cannot have.

        Raises
        ------
        SettingsError
            With one sentence.
        """
        OptionConfig.validate(self)
        if len(self.radii) > 1 or any(not radius > 0 for radius in self.radii):
            raise self.refusal("radii", f"radii holds one positive radius in pixels, not {list(self.radii)}")


class PixelFlagsConfig(Config):
    """Config of the pixel flags."""

    masksFpAnywhere: Any = idle([""], "Further planes to flag in a footprint.", "every plane has its flags")
    masksFpCenter: Any = idle([""], "Further planes to flag at a centre.", "every plane has its flags")


def in_sigma(fwhm: float) -> float:
    """FWHM as sigmas of a Gaussian."""
    return float(fwhm * SIGMA_TO_FWHM)


def in_fwhm(sigma: float) -> float:
    """Sigmas as FWHM of a Gaussian."""
    return float(sigma / SIGMA_TO_FWHM)


class TrailsConfig(OptionConfig):
    """Config of the fit of sources that moved while the shutter was open."""

    searchRadius: Any = option(Trails, "search_fwhm")
    minLengthSigma: Any = option(Trails, "least_length_sigma")
    minGain: Any = option(Trails, "least_gain")
    suspectLength: Any = option(Trails, "suspect_fwhm")


class DipoleFitPluginConfig(OptionConfig):
    """Config of the dipole fit, under the names of LSST's plugin."""

    relWeight: Any = option(Dipoles, "image_weight")
    fitSeparateNegParams: Any = option(Dipoles, "separate_fluxes")
    minSn: Any = option(Dipoles, "least_snr")
    maxFluxRatio: Any = option(Dipoles, "largest_share")
    maxSeparation: Any = option(
        Dipoles,
        "reach_fwhm",
        into=in_fwhm,
        shown=in_sigma,
        doc="A lobe that moves farther from the middle has run away, in sigma of the PSF.",
    )
    fitAllDiaSources: Any = option(
        Dipoles,
        "candidates",
        choices={False: "opposite", True: "all"},
        doc="Fit a dipole to every source, not to those alone that have a lobe of the other sign beside them.",
    )
    fitBackground: Any = option(
        Dipoles,
        "background",
        choices={0: "none", 1: "prefit", 2: "joint"},
        doc="The light under the star: 0 not fitted, 1 fitted to the pixels around before, 2 fitted together with it.",
    )
    maxFootprintArea: Any = option(Dipoles, "largest_footprint_px")
    tolerance: Any = idle(1e-7, "Where the iterations end.", "they end where the errors say that more is noise")
    maxChi2DoF: Any = idle(0.05, "Limit that was never applied.", "a dipole is judged by separation and balance")


_CONFIGS: dict[str, type[Config]] = {
    DIPOLES: DipoleFitPluginConfig,
    TRAILS: TrailsConfig,
    CENTROID: CentroidConfig,
    APERTURE: ApertureFluxConfig,
    "base_PixelFlags": PixelFlagsConfig,
}

for _name in (DIPOLES, TRAILS, *_COLUMNS, *_ALWAYS):
    measurementPluginRegistry.register(_name, PluginConfig, _CONFIGS.get(_name, PluginConfig))


def plugins() -> Any:
    """The field that chooses among them; all that fill columns by default."""
    why = "; ".join(f"{name}: {reason}" for name, reason in _ALWAYS.items())
    return RegistryField(
        doc="What is measured; the columns of what is not named are left empty. Without effect, for what they give is "
        f"there in any case: {why}.",
        registry=measurementPluginRegistry,
        multi=True,
        default=[DIPOLES, TRAILS, *_COLUMNS],
    )


def without_columns_of_others(table: Table, chosen: Iterable[str]) -> Table:
    """The table, in which the columns of plugins that were not chosen are empty.

    Parameters
    ----------
    table
        As measured; not changed.
    chosen
        Names of plugins.

    Returns
    -------
    Table
        With the same columns.
    """
    left_out = _COLUMNS.keys() - set(chosen)
    return emptied(table, tuple(begin for name in left_out for begin in _COLUMNS[name]))


def emptied(table: Table, begins: tuple[str, ...]) -> Table:
    """A copy in which the columns whose names begin so hold nothing: NaN, 0, False, and True where a flag says so."""
    found = table.copy()
    for name in found.colnames:
        if begins and name.startswith(begins):
            kind = found[name].dtype
            found[name][:] = np.nan if kind.kind == "f" else kind.type(name.endswith("_flag"))
    return found
