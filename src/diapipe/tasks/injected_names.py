"""on_injected: an image difference reads injected visit images, and its results have names of their own."""

from __future__ import annotations

from typing import Any

from diapipe.errors import UsageError
from diapipe.tasks.connections import COADDS, INJECTED, READY, SUBFILTERS, VISIT, template_source
from diapipe.tasks.dataset_names import dataset_name

CATALOG_DATASET = "injection_catalog"
"""Dataset type of the sources of a whole survey."""
_TEMPLATES = {COADDS: "template_coadd", SUBFILTERS: "dcr_coadd", READY: "template_detector"}


def on_injected(config: Any) -> None:
    """Let an `ImageDifferenceConfig` subtract the real template from injected images.

    Parameters
    ----------
    config
        Changed in place: ``connections`` alone.

    Raises
    ------
    UsageError
        If the template is another visit: it would be read with sources put into it.
    """
    if template_source(config) == VISIT:
        raise UsageError("sources are put into visits, so none of them can be the template; templates of coadds can")
    config.connections.fakesType = INJECTED
    for connection, name in _TEMPLATES.items():
        pattern = getattr(config.connections, connection)
        own = pattern.replace("{fakesType}", "")
        setattr(config.connections, connection, own.replace(name, dataset_name(name, config.coaddName)))
