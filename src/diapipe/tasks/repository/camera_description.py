"""Camera descriptions: short YAML files, checked to the last key, one sentence for every mistake."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from diapipe.errors import UsageError
from diapipe.images.mask import MaskPlane
from diapipe.io.mask_planes import plane_of
from diapipe.tasks.repository import camera_rules as rules
from diapipe.tasks.repository.camera import (
    MAX_DETECTOR,
    Camera,
    MaskOfFile,
    Plane,
    PlaneFile,
    VarianceOfFile,
)
from diapipe.tasks.repository.camera_times import FORMATS, MOMENTS, SCALES, TimeRule

FOLDER = Path(__file__).with_name("cameras")
"""The descriptions that come with diapipe."""

VALUES = (
    "visit",
    "detector",
    "filter",
    "exposure_time",
    "gain",
    "read_noise",
    "saturation",
    "zero_point",
    "unit",
    "target",
)
KEYS = (
    "name",
    "title",
    "check",
    *VALUES,
    "bands",
    "time",
    "detectors",
    "image",
    "mask",
    "variance",
    "new_night_at_utc_hour",
)
"""Every key of a description; `docs/howto/cameras.md` explains them."""

SOURCES = ("card", "filename", "path", "time", "text", "compute", "value")
"""Where a value can come from: exactly one of them."""
CHANGES = ("match", "map", "times", "plus")
"""What can be done to it."""
KINDS = ("variance", "error", "inverse")
_LONGEST_NAME = 27
_NOT_LOOKED_FOR = ("exposure_time", "gain", "read_noise", "saturation", "zero_point", "unit", "target")


def shipped_cameras() -> dict[str, str]:
    """Names of the cameras that come with diapipe, each with one line on it."""
    found = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        found[path.stem] = load_camera(path).title
    return found


def load_camera(name: str | Path) -> Camera:
    """A camera that comes with diapipe by its name, or any by the path of its description.

    Raises
    ------
    UsageError
        If there is no such camera or file, or it says something that is not understood.
    """
    path = FOLDER / f"{name}.yaml" if (FOLDER / f"{name}.yaml").is_file() else Path(name)
    try:
        text = path.read_text()
    except OSError as error:
        known = ", ".join(shipped_cameras())
        raise UsageError(
            f"there is no camera {str(name)!r}: it is none of {known}, and no file of that name can be read"
        ) from error
    return parse_camera(text, name=path.name, folder=path.parent)


def parse_camera(text: str, *, name: str, folder: Path = Path()) -> Camera:
    """The camera that a description says.

    Parameters
    ----------
    text
        YAML.
    name
        What messages call it: the file's name.
    folder
        Where the tables lie that it names.

    Raises
    ------
    UsageError
        If it is no YAML, or says something that is not understood: one sentence that names file and key.
    """
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is no YAML: {_one_line(error)}") from error
    return _Description(name, folder).camera(content)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that is there twice: the second would silently win."""


def _mapping_of_unique_keys(loader: Any, node: Any) -> dict[Any, Any]:
    found = {}
    for key, value in node.value:
        plain = loader.construct_object(key, deep=True)
        if plain in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {plain!r} is there twice", key.start_mark)
        found[plain] = loader.construct_object(value, deep=True)
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_of_unique_keys)


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or error}{where}"


class _Description:
    """Turns what YAML gave into a `Camera`; every complaint names the file and the key."""

    def __init__(self, name: str, folder: Path) -> None:
        self._file = name
        self._folder = folder

    def _wrong(self, key: str, problem: str) -> UsageError:
        return UsageError(f"{self._file}: {key} {problem}", file=self._file, key=key)

    def _known(self, where: str, given: Iterable[Any], known: Iterable[str]) -> None:
        """Refuse the first key that nobody knows, and say which may be meant."""
        names = tuple(known)
        for key in given:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
                prefix = f"{where} has " if where else ""
                raise UsageError(f"{self._file}: {prefix}unknown key {key!r}{hint}", file=self._file, key=key)

    def camera(self, content: Any) -> Camera:
        """The camera."""
        if not isinstance(content, dict):
            raise UsageError(f"{self._file} is no description of a camera: it needs keys such as name, visit, detector")
        self._known("", content, KEYS)
        content = self._with_tables(content)
        found, silent = self._values(content)
        return Camera(
            name=self._name(content),
            title=str(content.get("title") or content["name"]),
            source=content,
            check={
                str(card).upper(): self._pattern("check", text)
                for card, text in self._mapping(content, "check").items()
            },
            rules=found,
            silent=silent,
            time=self._time(content.get("time")),
            bands=tuple(
                (self._pattern("bands", str(key)), str(band)) for key, band in self._mapping(content, "bands").items()
            ),
            detectors=self._detectors(content.get("detectors")),
            images=self._images(content.get("image")),
            mask=self._mask(content.get("mask")),
            variance=self._variance(content.get("variance")),
            new_night_at_utc_hour=self._hour(content.get("new_night_at_utc_hour", 12)),
        )

    def _name(self, content: Mapping[str, Any]) -> str:
        name = content.get("name")
        if not isinstance(name, str) or not re.fullmatch(rf"[A-Za-z][A-Za-z0-9_-]{{0,{_LONGEST_NAME - 1}}}", name):
            raise self._wrong(
                "name",
                f"is {name!r}; a name of at most {_LONGEST_NAME} letters, digits, - and _ is needed, a letter first",
            )
        return name

    def _values(self, content: Mapping[str, Any]) -> tuple[dict[str, rules.Rule], frozenset[str]]:
        """The rules, and the names of what is not to be looked for."""
        found, silent = {}, set()
        for key in VALUES:
            if content.get(key) is False and key in _NOT_LOOKED_FOR:
                silent.add(key)
            elif key in content:
                found[key] = self._rule(key, content[key])
        if "visit" not in found:
            raise self._wrong("visit", "is missing: what numbers the exposures must be said")
        found.setdefault("detector", rules.Constant(0))
        return found, frozenset(silent)

    def _mapping(self, content: Mapping[str, Any], key: str) -> dict[Any, Any]:
        value = content.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, f"is {value!r}; a mapping is needed")
        return value

    def _pattern(self, key: str, text: Any) -> re.Pattern[str]:
        try:
            return re.compile(str(text))
        except re.error as error:
            raise self._wrong(key, f"has {text!r}, which is no regular expression ({error})") from error

    def _rule(self, key: str, spec: Any) -> rules.Rule:
        """A card's name, a number, a list of alternatives, or a mapping."""
        if isinstance(spec, bool) or spec is None or spec in ("", []):
            raise self._wrong(key, f"is {spec!r}; a card, a number, a list of them or a mapping is needed")
        if isinstance(spec, int | float):
            return rules.Constant(spec)
        if isinstance(spec, str):
            return rules.Card(spec.strip().upper())
        if isinstance(spec, list):
            return rules.FirstOf(tuple(self._rule(key, each) for each in spec))
        self._known(key, spec, (*SOURCES, *CHANGES))
        used = [name for name in SOURCES if name in spec]
        if len(used) != 1:
            raise self._wrong(key, f"needs one of {', '.join(SOURCES)}, and has {' and '.join(used) or 'none'}")
        return self._changed(key, self._source(key, used[0], spec[used[0]]), spec)

    def _source(self, key: str, kind: str, spec: Any) -> rules.Rule:
        if kind == "card":
            return self._rule(key, spec)
        if not isinstance(spec, str) and kind != "value":
            raise self._wrong(key, f"has {kind}: {spec!r}; a text is needed")
        if kind == "compute":
            try:
                rules.check_arithmetic(spec)
            except ValueError as error:
                raise self._wrong(key, f"cannot be computed: {error}") from error
        makers: dict[str, Callable[[Any], rules.Rule]] = {
            "filename": lambda text: rules.FileName(self._pattern(key, text)),
            "path": lambda text: rules.FileName(self._pattern(key, text), whole_path=True),
            "time": rules.BeginTime,
            "text": rules.Text,
            "compute": rules.Computed,
            "value": rules.Constant,
        }
        return makers[kind](spec)

    def _changed(self, key: str, rule: rules.Rule, spec: Mapping[str, Any]) -> rules.Rule:
        if not any(name in spec for name in CHANGES):
            return rule
        for name in ("times", "plus"):
            if isinstance(spec.get(name, 0), bool) or not isinstance(spec.get(name, 0), int | float):
                raise self._wrong(key, f"has {name}: {spec[name]!r}; a number is needed")
        return rules.Changed(
            rule,
            match=self._pattern(key, spec["match"]) if "match" in spec else None,
            translations={str(word): value for word, value in self._mapping(spec, "map").items()},
            times=spec.get("times", 1),
            plus=spec.get("plus", 0),
        )

    def _with_tables(self, content: Any) -> Any:
        """The description with every ``map`` from a table spelled out, so that the repository needs no other file."""
        if isinstance(content, list):
            return [self._with_tables(each) for each in content]
        if not isinstance(content, dict):
            return content
        return {
            key: self._table(value) if key == "map" and isinstance(value, dict) and "csv" in value
            else self._with_tables(value)
            for key, value in content.items()
        }  # fmt: skip

    def _table(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """One column of a CSV file by another."""
        self._known("map", spec, ("csv", "key", "column"))
        path = self._folder / str(spec["csv"])
        try:
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._wrong("map", f"names the table {path}, which cannot be read ({error})") from error
        for name in ("key", "column"):
            if not rows or spec.get(name) not in rows[0]:
                found = ", ".join(rows[0]) if rows else "no row"
                raise self._wrong("map", f"wants the {name} {spec.get(name)!r} of {path.name}, which has {found}")
        return {row[spec["key"]]: row[spec["column"]] for row in rows}

    def _time(self, spec: Any) -> TimeRule | None:
        if spec is None:
            return None
        if not isinstance(spec, dict):
            raise self._wrong("time", f"is {spec!r}; a mapping such as {{start: MJD-OBS}} is needed")
        self._known("time", spec, (*MOMENTS, "scale", "format"))
        moments = tuple((name, self._rule("time", spec[name])) for name in spec if name in MOMENTS)
        if not moments:
            raise self._wrong("time", f"needs one of {', '.join(MOMENTS)}")
        scale = str(spec["scale"]).upper() if "scale" in spec else None
        form = str(spec.get("format", "auto")).lower()
        if scale is not None and scale not in SCALES:
            raise self._wrong("time", f"has the scale {spec['scale']!r}; there are {', '.join(SCALES)}")
        if form not in FORMATS:
            raise self._wrong("time", f"has the format {spec['format']!r}; there are {', '.join(FORMATS)}")
        return TimeRule(moments, scale, form)

    def _hour(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 24:
            raise self._wrong("new_night_at_utc_hour", f"is {value!r}; an hour from 0 to 24 is needed")
        return float(value)

    def _detectors(self, spec: Any) -> dict[int, str]:
        """Names by number: a mapping, a list (from 0), or how many there are."""
        if spec is None:
            return {}
        if isinstance(spec, int) and not isinstance(spec, bool):
            spec = [str(n) for n in range(spec)]
        if isinstance(spec, list):
            spec = dict(enumerate(spec))
        if not isinstance(spec, dict) or not spec:
            raise self._wrong("detectors", f"is {spec!r}; a number, a list of names or names by number are needed")
        for number in spec:
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_DETECTOR:
                raise self._wrong("detectors", f"has the number {number!r}; it must be from 0 to {MAX_DETECTOR}")
        names = [str(name) for name in spec.values()]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise self._wrong("detectors", f"has the name {twice!r} twice")
        return {number: str(name) for number, name in spec.items()}

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
