"""Camera descriptions: short YAML files, checked to the last key, one sentence for every mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from diapipe.errors import UsageError
from diapipe.tasks.repository import camera_rules as rules
from diapipe.tasks.repository.camera import MAX_DETECTOR, Camera
from diapipe.tasks.repository.camera_planes import PlaneSection
from diapipe.tasks.repository.camera_sections import RuleSection
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


class _Description(RuleSection, PlaneSection):
    """Turns what YAML gave into a `Camera`."""

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
