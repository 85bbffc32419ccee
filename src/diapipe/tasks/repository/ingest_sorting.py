"""Which files are new to a repository, which it has, and which it cannot take."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lsst.daf.butler import Butler

from diapipe.errors import DiapipeError, ReadError
from diapipe.tasks.repository.camera import Camera
from diapipe.tasks.repository.camera_files import FoundImage
from diapipe.tasks.repository.exposure_records import known_exposures
from diapipe.tasks.repository.file_stamps import CHANGED, stamp_of
from diapipe.tasks.repository.stored_cameras import raw_run, stamp_in

DATASET = "post_isr_image"
"""Dataset type of what is ingested."""
_SAME_BEGIN_DAYS = 1.0 / 86400.0
_END_BYTES = 1 << 16

type ScannedFile = tuple[str, tuple[FoundImage, ...]]
"""The path of a file, and the images in it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that was left out, and why.

    Attributes
    ----------
    path
        Of the file.
    reason
        Rest of a sentence that begins with the path.
    is_unreadable
        Whether nothing could be read of it, as against a file that does not fit.
    """

    path: str
    reason: str
    is_unreadable: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What a call of `ingest` did, or with ``dry_run`` would do.

    Attributes
    ----------
    files
        Paths that are new in the repository, with their images.
    already_there
        Paths that it had.
    refused
        Files that were left out.
    """

    files: tuple[ScannedFile, ...]
    already_there: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()

    @property
    def summary(self) -> str:
        """One line: ``87 ingested, 2 already there, 1 unreadable``."""
        unreadable = sum(refusal.is_unreadable for refusal in self.refused)
        others = (
            (len(self.already_there), "already there"),
            (unreadable, "unreadable"),
            (len(self.refused) - unreadable, "refused"),
        )
        return ", ".join([f"{len(self.files)} ingested", *(f"{n} {what}" for n, what in others if n)])


@dataclass(slots=True)
class Plan:
    """What is known so far of the files, while they are sorted out."""

    new: list[ScannedFile] = field(default_factory=list)
    already_there: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def refuse(self, path: str, reason: str) -> None:
        """Leave a file out."""
        self.refused.append(Refusal(path, reason))

    @property
    def result(self) -> Ingested:
        """What became of the files."""
        return Ingested(files=tuple(self.new), already_there=tuple(self.already_there), refused=tuple(self.refused))


def refusal_of(path: str, error: DiapipeError) -> Refusal:
    """The reason without the file's name, which begins the sentence already."""
    name, text = os.path.basename(path), str(error)
    for start in (f"cannot read {path}: ", f"{path} ", f"{path}: ", f"{name} ", f"{name}: "):
        text = text.removeprefix(start)
    return Refusal(path, text, isinstance(error, ReadError))


def sort_out(butler: Butler, camera: Camera, scanned: Sequence[ScannedFile], plan: Plan) -> None:
    """Sort files into new, known and refused, by what the repository has and by each other."""
    visits = sorted({image.visit for _, images in scanned for image in images})
    exposures = known_exposures(butler, camera, visits)
    there = _known_files(butler, camera, visits)
    for path, images in scanned:
        owners = {image.detector: there.get((image.visit, image.detector)) for image in images}
        same = next(
            (owner for owner in owners.values() if owner is not None and _is_same_file(owner.place, path)), None
        )
        if same is not None:
            if same.stamp and stamp_of(path) != same.stamp:
                plan.refuse(path, CHANGED)
            else:
                plan.already_there.append(path)
            continue
        taken = next((detector for detector, owner in owners.items() if owner is not None), None)
        if taken is not None:
            image = next(image for image in images if image.detector == taken)
            plan.refuse(
                path, f"visit {image.visit} detector {taken} is there already, from {there[image.visit, taken].place}"
            )
            continue
        problem = next((text for image in images if (text := _disagreement(image, exposures))), None)
        if problem is not None:
            plan.refuse(path, problem)
            continue
        plan.new.append((path, images))
        for image in images:
            there[image.visit, image.detector] = _Owner(path)
            exposures.setdefault(image.visit, (image.physical_filter, image.span.begin))


def _disagreement(image: FoundImage, exposures: dict[int, tuple[str, float]]) -> str | None:
    """Why an image cannot be of the exposure of its number; None if it can."""
    known = exposures.get(image.visit)
    if known is None:
        return None
    physical_filter, begin = known
    if abs(begin - image.span.begin) > _SAME_BEGIN_DAYS:
        apart = (image.span.begin - begin) * 86400.0
        return f"it began {apart:+.3f} s from the other files of visit {image.visit}; one visit is one exposure"
    if physical_filter != image.physical_filter:
        return f"its filter is {image.physical_filter!r}; other files of visit {image.visit} have {physical_filter!r}"
    return None


def changed_files(butler: Butler) -> Iterator[tuple[str, str]]:
    """Ingested files outside of the repository that are ``gone`` or ``changed``, by their paths."""
    if not list(butler.registry.queryDatasetTypes(DATASET)):
        return
    refs = butler.query_datasets(DATASET, collections="*", find_first=False, limit=None, explain=False)
    places = {found.primaryURI for found in butler.get_many_uris(refs).values() if found.primaryURI is not None}
    stamps = {place.ospath: stamp for place in places if place.isLocal and (stamp := stamp_in(place))}
    for path, stamp in sorted(stamps.items()):
        if not os.path.exists(path):
            yield path, "gone"
        elif stamp_of(path) != stamp:
            yield path, "changed"


class _Owner(NamedTuple):
    """Where the repository has a file, and the stamp that it had; "" if none is known."""

    place: str
    stamp: str = ""


def _known_files(butler: Butler, camera: Camera, visits: Sequence[int]) -> dict[tuple[int, int], _Owner]:
    """Where the repository has the files of visits, by visit and detector."""
    kind = butler.registry.queryDatasetTypes(DATASET)
    run = raw_run(camera.name)
    if not list(kind) or run not in butler.collections.query(f"{camera.name}/*"):
        return {}
    found: dict[tuple[int, int], _Owner] = {}
    for start in range(0, len(visits), 1000):
        refs = butler.query_datasets(
            DATASET,
            collections=run,
            where="instrument = camera AND exposure IN (visits)",
            bind={"camera": camera.name, "visits": list(visits[start : start + 1000])},
            limit=None,
            explain=False,
        )
        for ref, uris in butler.get_many_uris(refs).items():
            address = uris.primaryURI
            if address is not None:
                key = (int(ref.dataId["exposure"]), int(ref.dataId["detector"]))
                found[key] = _Owner(address.ospath if address.isLocal else address.geturl(), stamp_in(address))
    return found


def _is_same_file(known: str, path: str) -> bool:
    """Whether a path is the file that the repository has: itself, or its copy."""
    try:
        if os.path.samefile(known, path):
            return True
        with open(known, "rb") as one, open(path, "rb") as other:
            size = os.fstat(one.fileno()).st_size
            if size != os.fstat(other.fileno()).st_size:
                return False
            ends = []
            for file in (one, other):
                start = file.read(_END_BYTES)
                file.seek(max(0, size - (_END_BYTES)))
                ends.append((start, file.read()))
            return ends[0] == ends[1]
    except OSError:
        return False
