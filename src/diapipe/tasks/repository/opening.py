"""open_repository: a Butler that knows diapipe's datasets, or one sentence that says why not."""

from __future__ import annotations

import os
from pathlib import Path

from lsst.daf.butler import Butler, ButlerConfig

from diapipe.errors import UsageError

CONFIG_FOLDER = Path(__file__).with_name("config")
"""Storage classes and formatters, for ``DAF_BUTLER_CONFIG_PATH`` where a repository was not made by diapipe."""


def open_repository(path: str | os.PathLike[str], *, writeable: bool = False) -> Butler:
    """Open a repository.

    Parameters
    ----------
    path
        Folder of the repository, its ``butler.yaml``, or an address or alias that the Butler knows.
    writeable
        Whether datasets will be put into it.

    Raises
    ------
    UsageError
        If there is no repository, or one that does not know the storage classes of diapipe.
    """
    place = os.fspath(path)
    try:
        config = ButlerConfig(place)
    except FileNotFoundError:
        found = "has no butler.yaml" if Path(place).exists() else "does not exist"
        raise UsageError(f"{place} is no repository: it {found}; `diapipe init {place}` makes one") from None
    if "DiaExposure" not in config["storageClasses"]:
        raise UsageError(
            f"the repository {place} does not know the storage classes of diapipe; set DAF_BUTLER_CONFIG_PATH to "
            f"{CONFIG_FOLDER} wherever it is used, or make one with `diapipe init`"
        )
    return Butler.from_config(config, writeable=writeable)
