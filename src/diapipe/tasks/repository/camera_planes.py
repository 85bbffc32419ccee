"""Parts of a camera description that say where images, masks and variances are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diapipe.images.mask import MaskPlane
from diapipe.io.mask_planes import plane_of
from diapipe.tasks.repository.camera import MaskOfFile, Plane, PlaneFile, VarianceOfFile
from diapipe.tasks.repository.camera_sections import Section

KINDS = ("variance", "error", "inverse")


class PlaneSection(Section):
    """Turns what a description says of HDUs and files into places of planes."""

    def _images(self, spec: Any) -> tuple[str | int, ...]:
        found = () if spec is None else tuple(spec) if isinstance(spec, list) else (spec,)
        for hdu in found:
            self._check_hdu("image", hdu)
        return tuple(hdu.upper() if isinstance(hdu, str) and hdu != "each" else hdu for hdu in found)

    def _check_hdu(self, key: str, hdu: Any) -> None:
        if isinstance(hdu, bool) or not isinstance(hdu, int | str) or hdu == "" or (isinstance(hdu, int) and hdu < 0):
            raise self._wrong(key, f"has the HDU {hdu!r}; a name or a number from 0 is needed")

    def _plane(self, key: str, spec: Any, known: tuple[str, ...]) -> tuple[dict[str, Any], Plane]:
        """What a mapping for a plane says, and the place in it."""
        spec = spec if isinstance(spec, dict) else {"hdu": spec}
        self._known(key, spec, ("hdu", "file", *known))
        if "hdu" in spec:
            self._check_hdu(key, spec["hdu"])
        file = spec.get("file")
        if file is not None and (not isinstance(file, dict) or set(file) != {"replace", "by"}):
            raise self._wrong(key, f"has file: {file!r}; a mapping {{replace: ..., by: ...}} is needed")
        other = None if file is None else PlaneFile(part=str(file["replace"]), by=str(file["by"]))
        return spec, Plane(hdu=spec.get("hdu"), file=other)

    def _mask(self, spec: Any) -> MaskOfFile | None:
        if spec is None:
            return None
        spec, place = self._plane("mask", spec, ("bits", "codes"))
        if "bits" in spec and "codes" in spec:
            raise self._wrong("mask", "has bits and codes; a pixel is made of bits or has one code")
        bits, codes = (self._planes(name, self._mapping(spec, name)) for name in ("bits", "codes"))
        if any(not 0 <= bit < 63 for bit in bits):
            raise self._wrong("mask", f"has the bit {max(bits, key=abs)}; bits are from 0 to 62")
        return MaskOfFile(hdu=place.hdu, file=place.file, bits=bits, codes=codes)

    def _planes(self, key: str, spec: Mapping[Any, Any]) -> dict[int, MaskPlane]:
        found = {}
        for number, name in spec.items():
            plane = plane_of(str(name).upper())
            if isinstance(number, bool) or not isinstance(number, int):
                raise self._wrong("mask", f"has {key} with the key {number!r}; a whole number is needed")
            if plane is None:
                raise self._wrong(
                    "mask", f"has the plane {name!r} for {number}; there are {', '.join(MaskPlane.__members__)}"
                )
            found[number] = plane
        return found

    def _variance(self, spec: Any) -> VarianceOfFile | None:
        if spec is None:
            return None
        spec, place = self._plane("variance", spec, ("kind",))
        kind = spec.get("kind")
        if kind is not None and kind not in KINDS:
            raise self._wrong("variance", f"has the kind {kind!r}; there are {', '.join(KINDS)}")
        return VarianceOfFile(hdu=place.hdu, file=place.file, kind=kind)
