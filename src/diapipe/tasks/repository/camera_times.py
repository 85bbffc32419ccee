"""When an exposure began and ended, from whatever way its cards say it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import erfa  # type: ignore[import-untyped]

from diapipe.io.cards import SECONDS_PER_DAY, to_tai
from diapipe.tasks.repository.camera_rules import FirstOf, Rule, Source, Value, number_of

SCALES = ("UTC", "TAI", "TT")
FORMATS = ("auto", "mjd", "jd", "unix", "iso")
MOMENTS = ("start", "middle", "end")

_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_UNIX_EPOCH_MJD, _JD_MINUS_MJD = 40587.0, 2400000.5
_LEAST_JD = 2_000_000.0
_DATE = re.compile(r"(\d{4})[-/](\d\d?)[-/](\d\d?)(?:[T ]\s*(\d\d?):(\d\d?)(?::(\d\d?(?:\.\d*)?))?)?")
_OLD_DATE = re.compile(r"(\d\d)/(\d\d)/(\d\d)(?:[T ]\s*(\d\d?):(\d\d?)(?::(\d\d?(?:\.\d*)?))?)?")


@dataclass(frozen=True, slots=True)
class Span:
    """An exposure in time, MJD in TAI; NaN where unknown.

    Attributes
    ----------
    begin, end
        First and last moment.
    """

    begin: float
    end: float

    @property
    def middle(self) -> float:
        """Half way."""
        return 0.5 * (self.begin + self.end)

    @property
    def begin_utc(self) -> datetime | None:
        """The begin as a date, to the millisecond; None where unknown."""
        return None if math.isnan(self.begin) else utc_of(self.begin)


@dataclass(frozen=True, slots=True)
class TimeRule:
    """How the cards say when.

    Attributes
    ----------
    moments
        Rules for ``start``, ``middle`` or ``end``, tried in this order of the description.
    scale
        ``UTC``, ``TAI`` or ``TT``; None takes the card TIMESYS, and UTC without one.
    form
        How the value is to be read: ``mjd``, ``jd``, ``unix`` (seconds), ``iso``; ``auto`` sees it from the value.
    """

    moments: tuple[tuple[str, Rule], ...]
    scale: str | None = None
    form: str = "auto"

    def span(self, source: Source, exposure_s: float) -> Span | None:
        """The exposure in time; None if no rule finds a time."""
        for moment, rule in self.moments:
            mjd = _first_time(rule, source, self.form)
            if mjd is not None:
                tai = to_tai(mjd, self._scale(source))
                return span_from(tai, moment, exposure_s)
        return None

    @property
    def words(self) -> str:
        """Where it looks, for messages."""
        return " or ".join(rule.words for _, rule in self.moments)

    def _scale(self, source: Source) -> str:
        return self.scale or str(source.cards.get("TIMESYS") or "UTC").strip().upper()


def _first_time(rule: Rule, source: Source, form: str) -> float | None:
    """The first alternative that is a time: a card that holds only a date does not hide the next."""
    for each in rule.rules if isinstance(rule, FirstOf) else (rule,):
        mjd = mjd_of(each.value(source), form)
        if mjd is not None:
            return mjd
    return None


def span_from(tai: float, moment: str, exposure_s: float) -> Span:
    """The span of an exposure of which one moment is known; an unknown length counts as none."""
    days = exposure_s / SECONDS_PER_DAY if exposure_s > 0 else 0.0
    begin = tai - {"start": 0.0, "middle": 0.5, "end": 1.0}[moment] * days
    return Span(begin, begin + days)


def mjd_of(value: Value | None, form: str = "auto") -> float | None:
    """MJD of a value in its own time scale (leap seconds apart); None if it is no time, or only a date."""
    number = number_of(value)
    if number is None:
        return _mjd_of_text(str(value)) if value is not None and form in {"auto", "iso"} else None
    if form == "unix":
        return number / SECONDS_PER_DAY + _UNIX_EPOCH_MJD
    if form == "jd" or (form == "auto" and number >= _LEAST_JD):
        return number - _JD_MINUS_MJD
    return float(number) if form in {"auto", "mjd"} and 0 < number < _LEAST_JD else None


def _mjd_of_text(text: str) -> float | None:
    """MJD of ``YYYY-MM-DDThh:mm:ss``, also with slashes or a blank, or of the ``DD/MM/YY`` of before 1999."""
    found = _DATE.match(text.strip())
    if found:
        year, month, day = (int(part) for part in found.groups()[:3])
    else:
        found = _OLD_DATE.match(text.strip())
        if not found:
            return None
        day, month, year = int(found.group(1)), int(found.group(2)), 1900 + int(found.group(3))
    if found.group(4) is None:
        return None
    try:
        _, days = erfa.cal2jd(year, month, day)
    except erfa.ErfaError:
        return None
    hours = int(found.group(4)) + (int(found.group(5)) + float(found.group(6) or 0.0) / 60.0) / 60.0
    return float(days + hours / 24.0)


def utc_of(tai: float) -> datetime:
    """The date (UTC) of an MJD in TAI, rounded to the millisecond: a double has tenths of it."""
    first, second, *_ = erfa.ufunc.taiutc(_JD_MINUS_MJD, tai) if tai >= 36934 else (_JD_MINUS_MJD, tai)
    days = float((first - _JD_MINUS_MJD) + second)
    return _MJD_EPOCH + timedelta(milliseconds=round(days * SECONDS_PER_DAY * 1000))
