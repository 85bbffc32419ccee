"""BandNames: what the programs of others call a band."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from diapipe.errors import UsageError


@dataclass(frozen=True, slots=True)
class BandNames:
    """Another name for each band.

    Attributes
    ----------
    pattern
        Name with ``{band}`` for ours, as ``lsst{band}``.
    named
        Names of single bands, before the pattern.
    """

    pattern: str = "{band}"
    named: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> BandNames:
        """From words: a pattern, or ``g=ztfg,r=ztfr``.

        Raises
        ------
        UsageError
            If it is neither.
        """
        if "=" in text:
            pairs = [part.split("=", 1) for part in text.split(",")]
            if all(len(pair) == 2 and all(pair) for pair in pairs):
                return cls(named=dict(pairs))
        elif "{band}" in text:
            return cls(text)
        raise UsageError(f"names of bands are given as lsst{{band}} or as g=ztfg,r=ztfr, not as {text!r}")

    def of_band(self, band: str) -> str:
        """The other name."""
        return self.named.get(band) or self.pattern.replace("{band}", band)

    def of_bands(self, bands: Iterable[str]) -> dict[str, str]:
        """The other names by ours.

        Raises
        ------
        UsageError
            If two bands would have one name.
        """
        names = {band: self.of_band(band) for band in bands}
        if len(set(names.values())) < len(names):
            raise UsageError(
                f"bands {', '.join(names)} would be called {', '.join(names.values())}; each needs its own"
            )
        return names
