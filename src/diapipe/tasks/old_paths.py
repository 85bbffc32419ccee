"""Old module paths: what configuration files of ``dia_pipe`` and of the LSST stack import is found here."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import logging
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from types import ModuleType
from typing import Any

_LOG = logging.getLogger(__name__)

_HERE = "diapipe.tasks."

_OLD: dict[str, dict[str, str]] = {
    "image_difference": {"lsst.pipe.tasks.imageDifference": "ImageDifferenceTask"},
    "image_difference_config": {"lsst.pipe.tasks.imageDifference": "ImageDifferenceConfig"},
    "driver": {
        "lsst.dia.pipe.imageDifferenceDriver": "ImageDifferenceDriverConfig",
        "lsst.pipe.drivers.coaddDriver": "CoaddDriverConfig",
    },
    "object_drivers": {
        "lsst.dia.pipe.associationDriver": "AssociationDriverConfig",
        "lsst.dia.pipe.forcedPhotCcdDiaDriver": "ForcedPhotCcdDiaDriverConfig",
        "lsst.dia.pipe.forcedPhotCoaddDiaDriver": "ForcedPhotCoaddDiaDriverConfig",
    },
    "associators": {
        "lsst.dia.pipe.simple_association": "SimpleAssociationTask SimpleAssociationConfig",
        "lsst.dia.pipe.multimatch_association": "MultiMatchAssociationTask MultiMatchAssociationConfig",
    },
    "forced_ccd_dia": {
        "lsst.dia.pipe.forcedPhotCcdDia": "ForcedPhotCcdDiaTask ForcedPhotCcdDiaConfig",
        "lsst.dia.pipe.forcedPhotDia": "ForcedPhotCcdDiaTask ForcedPhotCcdDiaConfig",
    },
    "forced_ccd_template": {
        "lsst.dia.pipe.forcedPhotCcdTemplateDia": "ForcedPhotCcdTemplateDiaTask ForcedPhotCcdTemplateDiaConfig"
    },
    "forced_coadd_dia_src": {
        "lsst.dia.pipe.forcedPhotCoaddDiaSrc": "ForcedPhotCoaddDiaSrcTask ForcedPhotCoaddDiaSrcConfig"
    },
    "forced_coadd_dia": {
        "lsst.dia.pipe.forcedPhotCoaddDia": "ForcedPhotCoaddDiaTask ForcedPhotCoaddDiaConfig",
        "lsst.dia.pipe.forcedPhotDia": "ForcedPhotCoaddDiaTask ForcedPhotCoaddDiaConfig",
    },
    "combine_dia_forced": {"lsst.dia.pipe.combineDiaForced": "CombineDiaForcedTask CombineDiaForcedConfig"},
    "idle_subtask": {"lsst.meas.algorithms.loadIndexedReferenceObjects": "LoadIndexedReferenceObjectsTask"},
    "get_template": {
        "lsst.dia.pipe.getMultiTractTemplate": "GetCoaddAsMultiTractTemplateTask GetCoaddAsMultiTractTemplateConfig",
        "lsst.ip.diffim.getTemplate": "GetCoaddAsTemplateTask GetCoaddAsTemplateConfig GetCalexpAsTemplateTask "
        "GetCalexpAsTemplateConfig",
    },
    "subtract": {
        "lsst.ip.diffim.imagePsfMatch": "ImagePsfMatchTask subtractAlgorithmRegistry",
        "lsst.ip.diffim.zogy": "ZogyImagePsfMatchTask",
    },
    "subtract_config": {
        "lsst.ip.diffim.imagePsfMatch": "ImagePsfMatchConfig",
        "lsst.ip.diffim.zogy": "ZogyImagePsfMatchConfig",
    },
    "psf_match_config": {"lsst.ip.diffim.psfMatch": "PsfMatchConfig PsfMatchConfigAL PsfMatchConfigDF"},
    "model_psf_match_config": {"lsst.ip.diffim.modelPsfMatch": "ModelPsfMatchConfig"},
    "decorrelate": {
        "lsst.ip.diffim.imageDecorrelation": "DecorrelateALKernelSpatialTask DecorrelateALKernelSpatialConfig"
    },
    "measurement": {"lsst.ip.diffim.dipoleFitTask": "DipoleFitTask"},
    "measurement_plugins": {"lsst.ip.diffim.dipoleFitTask": "DipoleFitPluginConfig"},
    "aperture_corrections": {"lsst.meas.base.applyApCorr": "ApplyApCorrTask ApplyApCorrConfig"},
    "forced_measurement": {"lsst.meas.base.forcedMeasurement": "ForcedMeasurementTask ForcedMeasurementConfig"},
    "astrometer": {"lsst.meas.astrom.astrometry": "AstrometryTask AstrometryConfig"},
    "detection": {"lsst.meas.algorithms.detection": "SourceDetectionTask SourceDetectionConfig"},
    "sky_sources": {"lsst.meas.algorithms.skyObjects": "SkyObjectsTask SkyObjectsConfig"},
    "source_selectors": {
        "lsst.meas.algorithms.objectSizeStarSelector": "ObjectSizeStarSelectorTask ObjectSizeStarSelectorConfig",
        "lsst.meas.algorithms.sourceSelector": "sourceSelectorRegistry ScienceSourceSelectorTask",
        "lsst.ip.diffim.diaCatalogSourceSelector": "DiaCatalogSourceSelectorTask DiaCatalogSourceSelectorConfig",
    },
    "register": {"lsst.pipe.tasks.registerImage": "RegisterTask RegisterConfig"},
    "visit_selectors": {
        "lsst.dia.pipe.selectImages": "TimeBestSeeingWcsSelectImagesTask TimeBestSeeingWcsSelectImagesConfig",
        "lsst.pipe.tasks.selectImages": "WcsSelectImagesTask WcsSelectImagesConfig BestSeeingWcsSelectImagesTask "
        "BestSeeingWcsSelectImagesConfig BestSeeingSelectVisitsTask BestSeeingSelectVisitsConfig "
        "BestSeeingQuantileSelectVisitsTask BestSeeingQuantileSelectVisitsConfig PsfWcsSelectImagesTask "
        "PsfWcsSelectImagesConfig NullSelectImagesTask",
    },
    "scale_variance": {"lsst.pipe.tasks.scaleVariance": "ScaleVarianceTask ScaleVarianceConfig"},
}
"""By module of this package: where its names used to be."""


def _homes() -> dict[str, dict[str, str]]:
    """By old module: where each of its names is now; a package has the names of its modules too, as it used to."""
    homes: dict[str, dict[str, str]] = {}
    for module, old in _OLD.items():
        for path, names in old.items():
            for place in (path, path.rpartition(".")[0]):
                homes.setdefault(place, {}).update(dict.fromkeys(names.split(), _HERE + module))
    return homes


HOMES = _homes()


def _packages() -> set[str]:
    """Every package that an old module lies in."""
    return {path.rsplit(".", n)[0] for path in HOMES for n in range(1, path.count(".") + 1)} - {"lsst"}


_PACKAGES = _packages()


class OldPaths(MetaPathFinder, Loader):
    """Finds the old modules, after everybody else has looked: what is installed comes first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A module of this loader, or None."""
        if fullname in HOMES or fullname in _PACKAGES:
            return importlib.util.spec_from_loader(fullname, self, is_package=fullname in _PACKAGES)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Let its names be looked up where they are now, when they are asked for."""
        old = module.__name__
        homes = HOMES.get(old, {})
        module.__doc__ = f"Old path of names of diapipe.tasks: {', '.join(homes) or 'in its modules'}."

        def look_up(name: str) -> Any:
            if name not in homes:
                raise AttributeError(f"diapipe has nothing in place of {old}.{name}; it has {', '.join(homes)}")
            _LOG.info("%s.%s is now %s.%s", old, name, homes[name], name)
            value = getattr(importlib.import_module(homes[name]), name)
            setattr(module, name, value)
            return value

        module.__getattr__ = look_up  # type: ignore[method-assign]


def install() -> None:
    """Let Python find the old modules, once."""
    if not any(isinstance(finder, OldPaths) for finder in sys.meta_path):
        sys.meta_path.append(OldPaths())
