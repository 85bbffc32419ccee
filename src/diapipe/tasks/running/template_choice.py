"""TemplateChoice: what the command line says about the visits of the template, as a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from diapipe.errors import UsageError
from diapipe.tasks.running.selection import numbers_of

LABEL = "selectVisits"
"""Of the task that chooses, in the pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChoice:
    """Which visits a template is made of; what is not given is left to the pipeline.

    Parameters
    ----------
    from_mjd, until_mjd
        First and last date of the template.
    n_visits
        At most so many visits, the sharpest.
    max_fwhm_arcsec
        Largest width of the PSF.
    left_out
        Visits that are kept out, such as ``7,12..15``.
    """

    from_mjd: float | None = None
    until_mjd: float | None = None
    n_visits: int | None = None
    max_fwhm_arcsec: float | None = None
    left_out: str = ""

    def __post_init__(self) -> None:
        if self.from_mjd is not None and self.until_mjd is not None and self.from_mjd > self.until_mjd:
            raise UsageError(
                f"the template ends on MJD {self.until_mjd:g}, before it begins on {self.from_mjd:g}; "
                "exchange --template-from and --template-until"
            )

    def as_python(self) -> str:
        """Lines that set the fields of ``config``; empty where nothing was chosen."""
        lines = []
        if self.n_visits is not None:
            lines += ["config.select.name = 'best_seeing_visits'", f"config.select.active.nVisitsMax = {self.n_visits}"]
        fields = {"minMJD": self.from_mjd, "maxMJD": self.until_mjd, "maxPsfFwhm": self.max_fwhm_arcsec}
        lines += [f"config.select.active.{name} = {value!r}" for name, value in fields.items() if value is not None]
        if self.left_out:
            lines.append(f"config.excludeVisits = {numbers_of(self.left_out)}")
        return "\n".join(lines)
