"""Subtask that fits the WCS of the template anew to the stars that both images have."""

from __future__ import annotations

from typing import Any

from lsst.pipe.base import Struct, Task

from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.stars import StarList
from diapipe.images import Exposure
from diapipe.steps.select import DiaCatalog
from diapipe.steps.template import RegisterSip, SipRegistration, offsets_by_colour, register_sip
from diapipe.tasks.fields import OptionConfig, option, options_of


class RegisterConfig(OptionConfig):
    """Config of the registration."""

    matchRadius: Any = option(RegisterSip, "match_radius_arcsec")
    sipOrder: Any = option(
        RegisterSip, "sip_order", doc="Order of the distortion; templateSipOrder of the main task comes in its place."
    )
    sipIter: Any = option(RegisterSip, "n_iter")
    sipRej: Any = option(RegisterSip, "reject_sigma")


class RegisterTask(Task):
    """A TAN-SIP for the template by which its stars lie where those of the science image do."""

    config: Any
    ConfigClass = RegisterConfig
    _DefaultName = "register"

    def run(
        self,
        science: Exposure,
        template: Exposure,
        scienceStars: StarList,
        templateStars: StarList,
        *,
        sipOrder: int | None = None,
    ) -> Struct:
        """Fit the WCS.

        Parameters
        ----------
        science, template
            Boxes, WCSs and PSFs count.
        scienceStars, templateStars
            Their sources, brightest first.
        sipOrder
            Order of the distortion, in place of that of the configuration.

        Returns
        -------
        Struct
            ``exposure``: the template with the new WCS; ``registration``: what it was fitted to, and what is left.

        Raises
        ------
        TooFewStarsError
            If fewer than three stars match.
        """
        given = {} if sipOrder is None else {"sip_order": sipOrder}
        found = register_sip(
            scienceStars,
            templateStars,
            science=science,
            template=template,
            options=options_of(self.config, RegisterSip, **given),
        )
        self.metadata["MATCH_NUM"] = found.n_matched
        self.metadata["SIP_RMS"] = found.rms_arcsec
        self.metadata["SIP_GOOD"] = found.n_kept
        self.metadata["SIP_REJECTED"] = found.n_matched - found.n_kept
        self.metadata["SIP_ORDER"] = found.sip_order
        return Struct(exposure=found.applied(template), registration=found)

    def debugOffsets(
        self, registration: SipRegistration, reference: ReferenceList, colours: DiaCatalog
    ) -> dict[str, float]:
        """What the registration leaves for blue, green and red stars, by the names of the older metadata, arc seconds.

        Parameters
        ----------
        registration
            From `run`.
        reference
            Catalogue that knows their colours.
        colours
            Range of the ordinary ones.
        """
        offsets = offsets_by_colour(
            registration, reference, min_g_r_mag=colours.min_g_r_mag, max_g_r_mag=colours.max_g_r_mag
        )
        named = {}
        for colour, offset in offsets.items():
            start = f"Register{colour.capitalize()}"
            named[f"{start}LongOffsetMedian"], named[f"{start}LongOffsetStd"] = offset.east_median, offset.east_sigma
            named[f"{start}LatOffsetMedian"], named[f"{start}LatOffsetStd"] = offset.north_median, offset.north_sigma
        return named
