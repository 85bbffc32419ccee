"""Fields about where the template lies: a WCS that is wrong, fitted anew; patches that become a template."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS
from tests.tasks.conftest import NEW, Scene, configured

from diapipe.errors import NoOverlapError, UsageError
from diapipe.images import CoaddPatch, Exposure
from diapipe.images.tracts import Tract
from diapipe.tasks import ImageDifferenceTask
from diapipe.tasks.get_template import (
    GetCalexpAsTemplateTask,
    GetCoaddAsMultiTractTemplateTask,
    GetCoaddAsTemplateTask,
    GetDcrAsTemplateTask,
)

QUIET = {"doDetection": False, "doMeasurement": False, "doMerge": False}


def displaced(exposure: Exposure, *, by_px: float, bend: float = 0.0) -> Exposure:
    """The exposure with another WCS: shifted along both axes, and bent by a quadratic term."""
    wcs: WCS = exposure.wcs.deepcopy()
    wcs.wcs.crpix = np.asarray(wcs.wcs.crpix) + by_px
    if bend:
        from astropy.wcs import Sip

        a, b = np.zeros((2, 3, 3))
        a[2, 0], b[1, 1] = bend, bend
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return replace(exposure, wcs=wcs)


def run_on(scene: Scene, template, **settings):
    config = configured(**settings)
    config.subtract["al"].doRefineAlignment = False  # what the WCSs say is all that counts
    task = ImageDifferenceTask(config=config, refCatalog=scene.reference)
    return task, task.run(scene.science, None, template)


def shift_by_kernel(result) -> float:
    """By how much the matching kernel moves the template, in pixels."""
    image = result.subtractRes.match.kernel.image_at(x=160, y=160)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] - image.shape[0] // 2
    return float(np.hypot((x * image).sum(), (y * image).sum()) / image.sum())


def test_doUseRegister(scene):
    """A WCS that is wrong by 2 px along both axes: without, the kernel must make up for it; with, the WCS does."""
    template = displaced(scene.template, by_px=2.0)
    _, wrong = run_on(scene, template, doSelectSources=True, **QUIET)
    task, right = run_on(scene, template, doSelectSources=True, doUseRegister=True, **QUIET)
    assert shift_by_kernel(wrong) == pytest.approx(np.sqrt(8.0), abs=0.1)
    assert shift_by_kernel(right) < 0.05
    registration = right.subtractRes.sipRegistration
    x, y = registration.wcs.all_world2pix(*scene.template.wcs.all_pix2world([160.0], [160.0], 0), 0)
    assert np.hypot(x[0] - 160.0, y[0] - 160.0) < 0.05
    assert task.register.metadata["SIP_RMS"] < 0.05
    assert task.register.metadata["MATCH_NUM"] == registration.n_matched > 10
    assert wrong.subtractRes.sipRegistration is None


def test_templateSipOrder(scene):
    """A science image whose WCS is bent by 1.5 px at the corners: a template's of order 1 leaves that, one of 2 not."""
    bent = replace(scene, science=displaced(scene.science, by_px=0.0, bend=6e-5))
    left = {}
    for order in (1, 2):
        task, result = run_on(
            bent, scene.template, doSelectSources=True, doUseRegister=True, templateSipOrder=order, **QUIET
        )
        assert result.subtractRes.sipRegistration.sip_order == order
        left[order] = task.register.metadata["SIP_RMS"]
    assert left[2] < 0.7 * left[1]


def test_doDebugRegister(scene):
    """Blue, green and red stars of the catalogue: what is left of each is told, NaN where there are none."""
    settings = {"doSelectSources": True, "doUseRegister": True, **QUIET}
    task, _ = run_on(scene, scene.template, doDebugRegister=True, **settings)
    quiet, _ = run_on(scene, scene.template, **settings)
    assert abs(task.metadata["RegisterGreenLongOffsetMedian"]) < 0.02
    assert abs(task.metadata["RegisterRedLatOffsetMedian"]) < 0.02
    assert np.isnan(task.metadata["RegisterBlueLongOffsetStd"])
    assert "RegisterGreenLongOffsetMedian" not in quiet.metadata
    with pytest.raises(UsageError, match="doDebugRegister = True needs a reference catalogue"):
        ImageDifferenceTask(config=configured(doDebugRegister=True, **settings)).run(
            scene.science, None, scene.template
        )


def patches(scene: Scene) -> list[CoaddPatch]:
    """The template as the four patches of a tract, on whose pixels it is."""
    template = scene.template
    tract = Tract(id=0, wcs=template.wcs, box=template.box, patch_size_px=template.box.width // 2)
    return [CoaddPatch(tract=tract, patch_index=n, pixels=template[tract.patch(n).outer]) for n in range(4)]


@pytest.mark.parametrize("target", [GetCoaddAsTemplateTask, GetCoaddAsMultiTractTemplateTask])
def test_getTemplate_makes_the_template_of_patches(run, scene, target):
    """Patches in place of the template give what the template gives: the new star, within a tenth of its error."""
    config = configured()
    config.getTemplate.retarget(target)
    task = ImageDifferenceTask(config=config)
    characterized = replace(scene.template, psf=run().result.subtractRes.template.exposure.psf)
    given = patches(replace(scene, template=characterized))
    result = task.run(scene.science, None, given)
    row = run().row_at(NEW)
    table = result.diaSources
    at = np.argmin(np.hypot(table["x"] - row["x"], table["y"] - row["y"]))
    assert table["psfFlux"][at] == pytest.approx(row["psfFlux"], abs=0.1 * float(row["psfFluxErr"]))
    assert task.getTemplate.metadata["nInputs"] == 4


def test_getTemplate_can_be_another_visit(scene):
    """One exposure is cut to what is needed; two are refused by the core."""
    config = configured(requiredTemplateFraction=0.5)
    config.getTemplate.retarget(GetCalexpAsTemplateTask)
    task = ImageDifferenceTask(config=config)
    found = task.getTemplate.run(scene.science, [scene.template]).exposure
    assert scene.template.box.contains(found.box)
    third = scene.template[type(scene.template.box)(0, 96, 0, 320)]
    with pytest.raises(NoOverlapError, match="at least 50% are needed"):
        task.getTemplate.run(scene.science, [third], requiredTemplateFraction=0.5)


def test_dcr_asks_for_its_band():
    """The older defaults are not enough for a DCR template; which fields are missing is told when it is made."""
    config = configured(coaddName="dcr")
    config.getTemplate.retarget(GetDcrAsTemplateTask)
    config.validate()
    config.getTemplate.effectiveWavelength, config.getTemplate.bandwidth = 620.0, 140.0
    assert ImageDifferenceTask(config=config).getTemplate.config.numSubfilters == 3
