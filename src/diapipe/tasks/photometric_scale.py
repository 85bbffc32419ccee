"""PhotometricScaleTask: all visits of a band on one photometric scale."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from astropy.table import Table
from lsst.pex.config import ChoiceField, DictField, Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, Struct
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from diapipe.catalogs.source_tables import reference_list
from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.visit_stars import VisitStars
from diapipe.errors import counted
from diapipe.steps.calibrate import SCALES, AbstractScale, Given, Reference, Relative, photometric_scale
from diapipe.tasks.characterize import WITH_METADATA, summary_of
from diapipe.tasks.connections import TABLE
from diapipe.tasks.dataset_names import coadd_name
from diapipe.tasks.fields import OptionConfig, option, options_of
from diapipe.tasks.named_connections import NamedConnections
from diapipe.tasks.no_work import no_work_found


class PhotometricScaleConnections(NamedConnections, dimensions=("instrument", "band")):
    """Datasets of the scale of a band: tables only, no pixels."""

    stars: Any = Input(
        doc="Sources of each detector of each visit.",
        name="single_visit_star",
        storageClass=TABLE,
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    refCatalog: Any = PrerequisiteInput(
        doc="Reference catalogue.", name="reference_catalog", storageClass=TABLE, dimensions=(), minimum=0
    )
    photometricScale: Any = Output(
        doc="Flux of a count, detector by detector of all visits.",
        name="photometric_scale",
        storageClass=TABLE,
        dimensions=("instrument", "band"),
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        if config.way != "reference":
            self.prerequisiteInputs.discard("refCatalog")


class PhotometricScaleConfig(PipelineTaskConfig, OptionConfig, pipelineConnections=PhotometricScaleConnections):
    """Config of the scale of a band."""

    coaddName: Any = coadd_name()
    way: Any = ChoiceField(
        doc="How the scale is found.",
        dtype=str,
        default=SCALES.default,
        allowed={
            "relative": "From the stars that the visits share; the zero is that of the files' calibrations, if any.",
            "reference": "Against reference_catalog, each image by itself.",
            "given": "As each file says.",
        },
    )
    minSnr: Any = Field(dtype=float, default=20.0, doc="Stars below this signal-to-noise ratio are not looked at.")
    matchRadius: Any = option(Relative, "match_radius_arcsec")
    leastSnr: Any = option(Relative, "least_snr")
    minStars: Any = option(Relative, "min_stars")
    per: Any = option(Relative, "per")
    detectorPriorMag: Any = option(Relative, "detector_prior_mag")
    referenceVisit: Any = option(Relative, "reference_visit")
    nominalZeroPointMag: Any = option(Relative, "nominal_zero_point_mag")
    refMatchRadius: Any = option(Reference, "match_radius_arcsec")
    refMinStars: Any = option(Reference, "min_stars")
    refLeastStarError: Any = option(Reference, "least_star_error")
    refFluxes: Any = DictField(
        doc="Column of reference_catalog with the flux (nJy without a unit) by band; else r_flux and the like.",
        keytype=str,
        itemtype=str,
        default={},
    )
    refMagnitudes: Any = DictField(
        doc="Column of reference_catalog with the AB magnitude by band, in place of a flux.",
        keytype=str,
        itemtype=str,
        default={},
    )

    def algorithm(self) -> AbstractScale:
        """The algorithm of the core."""
        kinds: dict[str, type[AbstractScale]] = {"relative": Relative, "reference": Reference, "given": Given}
        return options_of(self, kinds[self.way])


class PhotometricScaleTask(PipelineTask):
    """Find what a count of each visit is worth, against the others or against a catalogue."""

    config: Any
    ConfigClass = PhotometricScaleConfig
    _DefaultName = "photometricScale"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read the stars of one image after the other; of each only those that calibrate are kept."""
        tables = (butlerQC.get(ref).get(parameters=WITH_METADATA) for ref in inputRefs.stars)
        reference = getattr(inputRefs, "refCatalog", None)
        catalogue = None if reference is None else butlerQC.get(reference)
        with no_work_found(self.metadata):
            outputs = self.run(tables, band=str(butlerQC.quantum.dataId["band"]), refCatalog=catalogue)
        butlerQC.put(outputs, outputRefs)

    def run(self, tables: Iterable[Table], *, band: str = "", refCatalog: Table | None = None) -> Struct:
        """Find the scale.

        Parameters
        ----------
        tables
            ``single_visit_star`` of every image, with its metadata.
        band
            Name of the band.
        refCatalog
            Reference catalogue, for ``way`` reference.

        Returns
        -------
        Struct
            ``photometricScale``.

        Raises
        ------
        TooFewStarsError
            If no image gets a scale.
        InputError
            If a catalogue is needed and missing, or has no such band.
        """
        stars = VisitStars.of(((summary_of(table), table) for table in tables), min_snr=self.config.minSnr)
        table = photometric_scale(
            stars, band=band, reference=self._reference(refCatalog), algorithm=self.config.algorithm()
        )
        self.log.info("%s on one scale by %s", counted(len(table), "image"), counted(len(stars), "measured star"))
        for sentence in table.meta["sentences"]:
            self.log.warning(sentence)
        self.metadata["sentences"] = list(table.meta["sentences"]) or ["every image is on the absolute scale"]
        return Struct(photometricScale=table)

    def _reference(self, catalogue: Table | None) -> ReferenceList | None:
        """The catalogue, with the fluxes that the configuration names."""
        if catalogue is None:
            return None
        fluxes, magnitudes = dict(self.config.refFluxes), dict(self.config.refMagnitudes)
        return reference_list(in_njy(catalogue), fluxes=fluxes, magnitudes=magnitudes)


def in_njy(catalogue: Table) -> Table:
    """The catalogue with every flux density, where its unit says that it is one, in nJy."""
    columns = [name for name in catalogue.colnames if catalogue[name].unit is not None]
    fluxes = [name for name in columns if catalogue[name].unit.is_equivalent("nJy")]
    found = catalogue.copy(copy_data=False)
    for name in fluxes:
        found[name] = catalogue[name].quantity.to("nJy")
    return found
