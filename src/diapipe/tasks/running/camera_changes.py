"""Whether a camera is described otherwise than when an output was begun, whose results are by the old description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import yaml  # type: ignore[import-untyped]
from lsst.daf.butler import Butler

from diapipe.tasks.repository.stored_cameras import differing_keys, stored_camera
from diapipe.tasks.running.journal import Journal


def remember_cameras(butler: Butler, journal: Journal, instruments: Iterable[str]) -> None:
    """Keep the descriptions that an output is begun with; of cameras that are kept already, the first stays."""
    for instrument in instruments:
        camera = stored_camera(butler, instrument)
        path = journal.camera(instrument)
        if camera is not None and not path.exists():
            path.parent.mkdir(exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_text(yaml.safe_dump(dict(camera.source), allow_unicode=True), encoding="utf-8")
            partial.replace(path)


def camera_changes(butler: Butler, journal: Journal) -> Iterator[str]:
    """A sentence for each camera that is described otherwise than when the output was begun."""
    for path in journal.cameras():
        camera = stored_camera(butler, path.stem)
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
        keys = [] if camera is None else differing_keys(camera.source, before)
        if keys:
            yield (
                f"the camera {path.stem} is described otherwise in {', '.join(keys)} than when this output was begun: "
                "what was made before is by the old description (another --output makes all anew)"
            )
