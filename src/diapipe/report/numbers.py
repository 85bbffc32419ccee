"""Numbers as a reader wants them."""

from __future__ import annotations

import math

MISSING = "–"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 3) -> str:
    """A value to so many significant digits, with a true minus sign; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if -4 <= power < 6:
        text = f"{value:,.{max(0, digits - 1 - power)}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
        return text.replace("-", _MINUS)
    mantissa = value / 10.0**power
    return f"{mantissa:.{digits - 1}f}".replace("-", _MINUS) + "×10" + str(power).translate(_SUPERSCRIPTS)


def fixed(value: float | None, decimals: int) -> str:
    """A value with so many decimals."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:z.{decimals}f}".replace("-", _MINUS)


def with_error(value: float, error: float) -> str:
    """A value and its error, to two digits of the error."""
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return number(value)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return (
        f"{fixed(value, decimals)} ± {error:.{decimals}f}" if decimals < 7 else f"{number(value)} ± {number(error, 2)}"
    )


def percent(fraction: float | None) -> str:
    """A fraction in percent: two digits where it is small."""
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    value = 100.0 * fraction
    if 0 < value < 0.005:
        return "less than 0.01%"
    return "0%" if value == 0 else f"{value:.{0 if value >= 10 else 1 if value >= 1 else 2}f}%"


def counted(n: int, singular: str, plural: str | None = None) -> str:
    """``1 source``, ``3 sources``."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}".replace(",", "\N{NARROW NO-BREAK SPACE}")
