"""Camera: what has to be known of a camera to take its files into a repository and to read them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diapipe.catalogs.ids import DETECTOR_BITS, VISIT_BITS
from diapipe.errors import InputError
from diapipe.images.mask import MaskPlane
from diapipe.io import cards
from diapipe.tasks.repository.camera_rules import Rule, Source, Value, number_of
from diapipe.tasks.repository.camera_times import Span, TimeRule, span_from

MAX_VISIT, MAX_DETECTOR = (1 << VISIT_BITS) - 1, (1 << DETECTOR_BITS) - 1
"""What an identifier of a DIA source can hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneFile:
    """Another file that holds a plane: the image's name with one part replaced, beside it."""

    part: str
    by: str

    def path_for(self, path: str) -> str | None:
        """Its path, None where the name of the image does not have the part."""
        folder, slash, name = path.rpartition("/")
        return f"{folder}{slash}{name.replace(self.part, self.by)}" if self.part in name else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Where the mask or the variance of an image is.

    Attributes
    ----------
    hdu
        Name or number of its HDU; the name may hold cards of the image in braces. None looks for the usual names in
        the image's own file, and for the HDU of the image's name or number in another.
    file
        The other file, if it is in one.
    """

    hdu: str | int | None = None
    file: PlaneFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOfFile(Plane):
    """A mask, and what its values mean.

    Attributes
    ----------
    bits
        Plane of each bit. Without bits and codes, ``MP_`` cards say it, or else anything but 0 is BAD.
    codes
        Plane of each value, where a pixel has one code and not several bits.
    """

    bits: Mapping[int, MaskPlane] = field(default_factory=dict)
    codes: Mapping[int, MaskPlane] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceOfFile(Plane):
    """A variance, an error or an inverse variance: its ``kind``; None goes by the name of the HDU."""

    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera as its description says; `load_camera` makes one.

    Attributes
    ----------
    name
        Of the instrument, in data ids.
    title
        One line for people.
    source
        The description itself, tables included: what the repository keeps.
    check
        Patterns that cards must match where a file has them, so that another camera's files are refused.
    rules
        For ``visit``, ``detector``, ``filter``, ``exposure_time``, ``gain``, ``read_noise``, ``saturation``,
        ``zero_point``, ``unit``, ``target``; what is missing is looked for in the usual cards.
    silent
        Names of those that are not to be looked for at all.
    time
        When an exposure was taken; None goes by the usual cards.
    bands
        Patterns of physical filters and their bands; empty leaves it to the filter's name.
    detectors
        Names by number; empty if any number will do.
    images
        Names or numbers of the HDUs with images, ``"each"`` for every image of the file; empty for the first.
    mask, variance
        Where they are; None looks for the usual names in the file.
    new_night_at_utc_hour
        When one night ends and the next begins.
    """

    name: str
    title: str
    source: Mapping[str, Any]
    check: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    time: TimeRule | None = None
    bands: tuple[tuple[re.Pattern[str], str], ...] = ()
    detectors: Mapping[int, str] = field(default_factory=dict)
    images: tuple[str | int, ...] = ()
    mask: MaskOfFile | None = None
    variance: VarianceOfFile | None = None
    new_night_at_utc_hour: float = 12.0

    @property
    def values_of_file_names(self) -> tuple[str, ...]:
        """What a file's name tells beyond visit and detector, which a repository knows once it has the file."""
        return tuple(
            name for name, rule in self.rules.items() if rule.needs_the_name and name not in {"visit", "detector"}
        ) + (("time",) if self.time is not None and any(r.needs_the_name for _, r in self.time.moments) else ())

    def detector_name(self, number: int) -> str:
        """What a detector is called: its number where it has no name."""
        return self.detectors.get(number, str(number))

    def found(self, name: str, source: Source) -> Value | None:
        """What the rule of this name finds; None where there is no rule, or it finds nothing."""
        rule = self.rules.get(name)
        return None if rule is None else rule.value(source)

    def refuse_others(self, source: Source) -> None:
        """Raise InputError for a file whose cards say that another camera made it."""
        for card, pattern in self.check.items():
            value = source.cards.get(card)
            if value is not None and not pattern.search(str(value)):
                raise InputError(f"its card {card} is {value!r}; the camera {self.name} needs {pattern.pattern!r}")

    def exposure_time_s(self, source: Source) -> float:
        """Seconds; NaN where nobody says."""
        if "exposure_time" not in self.rules:
            return cards.info(source.cards).exposure_time_s
        value = number_of(self.found("exposure_time", source))
        return float(value) if value is not None and value > 0 else math.nan

    def span(self, source: Source, exposure_s: float) -> Span | None:
        """When the exposure was taken; None where nobody says."""
        if self.time is not None:
            return self.time.span(source, exposure_s)
        middle = cards.mjd_midpoint(source.cards)
        return None if math.isnan(middle) else span_from(middle, "middle", exposure_s)

    def visit_of(self, source: Source) -> int:
        """Number of the exposure; InputError if it is missing, no whole number, or too large for an identifier."""
        rule = self.rules["visit"]
        return _whole("visit", rule, rule.value(source), MAX_VISIT)

    def detector_of(self, source: Source) -> int:
        """Number of the detector, also where the rule finds its name; InputError as of `visit_of`."""
        rule = self.rules["detector"]
        value = rule.value(source)
        named = {name: number for number, name in self.detectors.items()}
        number = named.get(str(value))
        if number is None:
            number = _whole("detector", rule, value, MAX_DETECTOR)
        if self.detectors and number not in self.detectors:
            raise InputError(f"it has detector {value!r}; the camera {self.name} has {_listed(self.detectors)}")
        return number

    def filter_of(self, source: Source) -> str:
        """The physical filter; InputError where nobody says."""
        if "filter" in self.rules:
            value = self.found("filter", source)
            if value is None:
                raise InputError(f"no filter: there is no {self.rules['filter'].words}")
            return str(value).strip()[:32]
        name = cards.filter_name(source.cards)
        if not name:
            raise InputError(f"no filter: there is none of the cards {', '.join(cards.FILTER_CARDS)}")
        return name[:32]

    def band_of(self, physical_filter: str) -> str:
        """The band of a filter; InputError if the camera names its bands and this filter is none of them."""
        for pattern, band in self.bands:
            if pattern.fullmatch(physical_filter):
                return band
        if self.bands:
            known = ", ".join(pattern.pattern for pattern, _ in self.bands)
            raise InputError(f"its filter {physical_filter!r} is none of the bands of the camera {self.name}: {known}")
        return cards.band_of(physical_filter)


def _whole(what: str, rule: Rule, value: Value | None, most: int) -> int:
    """The whole number that a rule found."""
    if value is None:
        raise InputError(f"no {what} number: there is no {rule.words}")
    number = number_of(value)
    if number is None or number != int(number):
        raise InputError(f"its {what} is {value!r} ({rule.words}); a whole number is needed")
    if not 0 <= number <= most:
        raise InputError(f"its {what} is {value} ({rule.words}); it must be from 0 to {most}")
    return int(number)


def _listed(detectors: Mapping[int, str]) -> str:
    numbers = sorted(detectors)
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))
