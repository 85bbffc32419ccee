"""``diapipe warmup``: compile now what the first run would have to wait for."""

from __future__ import annotations

import time
from dataclasses import replace

import click

from diapipe.cli.options import talk
from diapipe.cli.progress import progress_for

SIZE_PX = 512
SEED = 3


@click.command(short_help="Compile now what the first run would wait for.")
@talk
def warmup(quiet: bool, verbose: bool) -> None:
    """Compile the numerical kernels, so that the first real run starts at once.

    They are kept on disk; this is needed once for every installation, and takes up to a minute.
    """
    from diapipe.catalogs.source_batch import SourceBatch
    from diapipe.cli.truth import bare, halves, simulated
    from diapipe.flow import difference_pair
    from diapipe.images import CoaddPatch, GaussianPsf
    from diapipe.steps.associate import MultiMatchAssociator, associate
    from diapipe.steps.characterize import characterize
    from diapipe.steps.coadd import CoaddInput, VisitDetector, coadd, warp_visit
    from diapipe.steps.force import force_at
    from diapipe.steps.summarize import summarize_objects
    from diapipe.steps.template import MultiTract, homogenize, template_for

    begun = time.perf_counter()
    with progress_for(quiet=quiet) as progress:
        progress("compile: simulate")
        pair = simulated(size=SIZE_PX, seed=SEED)
        result = difference_pair(pair.science, pair.template, progress=lambda stage: progress(f"compile: {stage}"))
        progress("compile: objects and their fluxes")
        sources = SourceBatch.from_table(result.dia_sources)
        twice = [sources, replace(sources, ids=sources.ids + len(sources))]
        associate(twice, algorithm=MultiMatchAssociator())
        objects = associate(twice).objects
        force_at(result.difference.exposure, ra=objects.ra, dec=objects.dec)
        summarize_objects(result.dia_sources, sources.ids, bands=[pair.science.info.band or "r"])
        progress("compile: characterize an image without mask and variance")
        characterize(bare(pair.science))
        progress("compile: a template of several images")
        tiles = [CoaddPatch.whole(half, number) for number, half in enumerate(halves(pair.template))]
        template_for(pair.science, tiles, algorithm=MultiTract())
        progress("compile: coadds")
        box, wcs = pair.template.box, pair.template.wcs
        visits = [replace(image, psf=GaussianPsf(2.0)) for image in (pair.template, pair.science)]
        warps = [warp_visit([VisitDetector.whole(visit)], box=box, wcs=wcs) for visit in visits]
        alike, other = map(CoaddInput.whole, warps)
        coadd([alike, alike, alike, other], box=box, wcs=wcs)
        part = VisitDetector.whole(replace(halves(pair.template)[0], psf=GaussianPsf(2.6)))
        ending = CoaddInput.whole(warp_visit([part], box=box, wcs=wcs))
        homogenize(coadd([alike, ending], box=box, wcs=wcs).exposure)
    if not quiet:
        click.echo(f"Compiled in {time.perf_counter() - begun:.0f} s; runs now start at once.")
