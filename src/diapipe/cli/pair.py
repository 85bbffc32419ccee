"""One pair from files to files: what ``subtract`` and ``demo`` share."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import click
from astropy.table import Table

from diapipe.catalogs.injection_catalog import injection_catalog
from diapipe.cli import interrupts
from diapipe.cli.landing import check_free, is_earlier_result, landing
from diapipe.cli.products import ProductChoice, write_products
from diapipe.cli.progress import Progress, progress_for
from diapipe.cli.recipes import by_method, by_searched, merged, recipe_of
from diapipe.errors import DiapipeError, InternalError, UsageError
from diapipe.flow import DifferenceResult, difference_pair
from diapipe.images import Exposure
from diapipe.io import ReadOptions, read_exposure, read_table
from diapipe.recipe import Recipe
from diapipe.report.validation import validation_sentence
from diapipe.report.words import sentences

FEW_INJECTED = 10
"""Fewer tell little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An input image with what the user says of it.

    Attributes
    ----------
    path
        FITS file.
    variance, mask
        Files that replace its planes.
    options
        What its cards do not say.
    lands_at
        Where the file will lie when the command is done, if it is still in a hidden folder.
    """

    path: Path
    variance: Path | None = None
    mask: Path | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    lands_at: Path | None = None

    def read(self) -> Exposure:
        """The exposure."""
        return read_exposure(self.path, variance=self.variance, mask=self.mask, options=self.options)

    def facts(self) -> dict[str, str]:
        """Where it came from, for the summary."""
        files = {"path": self.lands_at or self.path, "variance": self.variance, "mask": self.mask}
        return {name: str(path.resolve()) for name, path in files.items() if path is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRequest:
    """What is to be subtracted from what, how, and where the results go."""

    science: ImageFile
    template: ImageFile
    template_also: tuple[ImageFile, ...] = ()
    out: Path
    recipe: Recipe
    products: ProductChoice
    injections: Table | None = None
    overwrite: bool = False
    quiet: bool = False
    verbose: bool = False

    @classmethod
    def of_options(
        cls,
        science: Path,
        template: Path,
        out: Path,
        settings: Mapping[str, Any],
        options: Mapping[str, Any],
        base: Recipe | None = None,
    ) -> Self:
        """The request that a configuration and the options of the command line make, the options on top."""
        _require_one_meaning(options)
        size = options["kernel_size"]
        flags = {
            "matcher": {
                "convolve": options["convolve"],
                "kernel_half_px": None if size is None else size // 2,
                "spatial_order": options["kernel_order"],
            },
            "detector": {"threshold_sigma": options["threshold"]},
            "n_threads": options["threads"],
        }
        catalog = options["inject_sources"]
        if options["inject"] or options["inject_seed"] is not None or catalog is not None:
            flags["inject"] = {"seed": options["inject_seed"]}
        flags = merged(merged(flags, by_method(options["method"])), by_searched(options["detect_on"]))
        return cls(
            science=image_file(science, options, kind="science", prefix=""),
            template=image_file(template, options, kind="template", prefix="template_"),
            template_also=tuple(
                image_file(path, options, kind="template", prefix="template_") for path in options["template_also"]
            ),
            out=out,
            recipe=recipe_of(merged(settings, flags), base=base),
            products=ProductChoice(
                compress=options["compress"],
                matched_template="matched_template" in options["write"],
                score="score" in options["write"],
                report=not options["no_report"],
            ),
            injections=None if catalog is None else injection_catalog(read_table(catalog), name=str(catalog)),
            overwrite=options["overwrite"],
            quiet=options["quiet"],
            verbose=options["verbose"],
        )


def _require_one_meaning(options: Mapping[str, Any]) -> None:
    """Refuse planes in files of their own where there are several images to which they could belong."""
    given = [name for name in ("template_variance", "template_mask") if options[name] is not None]
    if options["template_also"] and given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} belongs to one image, --template-also gives several; "
            "put variance and mask into the files of the images"
        )


def image_file(path: Path, options: Mapping[str, Any], *, kind: str, prefix: str) -> ImageFile:
    """An input from its options."""
    hdu = options[f"{prefix}hdu"]
    return ImageFile(
        path=path,
        variance=options[f"{kind}_variance"],
        mask=options[f"{kind}_mask"],
        options=ReadOptions(
            hdu=int(hdu) if hdu is not None and hdu.isdecimal() else hdu,
            gain_e_per_count=options[f"{prefix}gain"],
            read_noise_e=options[f"{prefix}read_noise"],
            saturation_counts=options[f"{prefix}saturation"],
            zero_point_mag=options[f"{prefix}zero_point"],
        ),
    )


def run_pair(request: PairRequest) -> DifferenceResult:
    """Read, subtract, write; say how it went.

    Raises
    ------
    DiapipeError
        Named after the science image; nothing is left in the folder then, and an earlier result stays.
    """
    images = (request.science, request.template, *request.template_also)
    inputs = [p for f in images for p in (f.path, f.variance, f.mask) if p is not None]
    check_free(request.out, inputs=tuple(inputs), overwrite=request.overwrite)
    replaces = is_earlier_result(request.out)
    with landing(request.out) as folder, progress_for(quiet=request.quiet) as progress:
        with _about(request.science.path.name):
            result, read_seconds = _difference(request, progress)
        files = {"science": request.science.facts(), "template": request.template.facts()}
        files |= {f"template_{n}": image.facts() for n, image in enumerate(request.template_also, start=2)}
        summary = write_products(
            result,
            folder,
            inputs=files,
            recipe=request.recipe,
            choice=request.products,
            progress=progress,
            read_seconds=read_seconds,
        )
        interrupts.raise_if_seen()
    if not request.quiet:
        _tell(summary, request, replaces=replaces)
    return result


def _difference(request: PairRequest, progress: Progress) -> tuple[DifferenceResult, float]:
    """What the pair gives, and the seconds that reading took."""
    begun = time.perf_counter()
    progress("read images")
    exposures = [image.read() for image in (request.science, request.template, *request.template_also)]
    seconds = time.perf_counter() - begun
    # popped, so that the flow alone holds the images and can give their memory back when it needs them no more
    science = exposures.pop(0)
    template = exposures if request.template_also else exposures.pop()
    result = difference_pair(science, template, recipe=request.recipe, injections=request.injections, progress=progress)
    return result, seconds


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Let an error of the data say which image could not be differenced."""
    try:
        yield
    except (UsageError, InternalError):
        raise
    except DiapipeError as error:
        said = str(error)
        sentence = said if said.startswith("cannot difference") else f"cannot difference {name}: {_told_of(name, said)}"
        raise type(error)(sentence, **error.context) from error


def _told_of(name: str, said: str) -> str:
    """A sentence that need not name again what it is about."""
    said = said.removeprefix(f"{name}: ")
    return f"it {said.removeprefix(f'{name} ')}" if said.startswith(f"{name} ") else said


def _tell(summary: Mapping[str, Any], request: PairRequest, *, replaces: bool) -> None:
    """The last lines: how many, where, what next."""
    for warning in summary["warnings"]:
        click.echo(f"diapipe: take care: {warning}", err=True)
    for sentence in sentences(summary) if request.verbose else ():
        click.echo(sentence)
    counts, out = summary["counts"], request.out
    if replaces:
        click.echo(f"The earlier result in {out} was replaced.")
        if stale := [name for name in ("validation.json", "report") if (out / name).exists()]:
            click.echo(f"Still of that one: {', '.join(stale)}; diapipe validate and diapipe report make them anew.")
    noun = "source" if counts["good"] == 1 else "sources"
    click.echo(
        f"{counts['good']} {noun} above {counts['threshold_sigma']:g} sigma"
        f" ({counts['good_positive']} brighter, {counts['good_negative']} fainter than in the template);"
        f" {counts['bad']} more flagged dp_bad."
    )
    if summary.get("validation"):
        click.echo(f"Injected: {validation_sentence(summary['validation'])}")
        if request.injections is None and summary["validation"]["completeness"]["all"]["n"] < FEW_INJECTED:
            click.echo(
                "These are few, for they must not disturb each other: --inject-seed 2, 3, ... choose others, and a "
                "smaller area_fwhm2 in the section [inject] of --config puts in more."
            )
    if request.products.report:
        click.echo(f"Look at the page:    {out / 'report.html'}")
    click.echo(f"Sources, difference: {out / 'dia_sources.parquet'}, {out / 'difference.fits'}")
    sys.stdout.flush()
