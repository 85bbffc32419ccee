"""open_repository: a Butler that knows diapipe's datasets, or one sentence that says why not."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from shlex import quote

from lsst.daf.butler import Butler, ButlerConfig
from lsst.daf.butler.registry.interfaces import IncompatibleVersionError
from lsst.daf.butler.repo_relocation import BUTLER_ROOT_TAG
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from yaml import YAMLError  # type: ignore[import-untyped]

from diapipe.errors import InputError, UsageError

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
        If there is no repository, one without its database or of another version of the butler, or one that does not
        know the storage classes of diapipe.
    InputError
        If its database cannot be used.
    """
    place = os.fspath(path)
    try:
        config = ButlerConfig(place)
    except FileNotFoundError:
        found = "has no butler.yaml" if Path(place).exists() else "does not exist"
        raise UsageError(f"{place} is no repository: it {found}; `diapipe init {quote(place)}` makes one") from None
    except (YAMLError, PermissionError) as error:
        raise UsageError(f"the butler.yaml of {place} cannot be read: {_in_one_line(error)}") from error
    if "DiaExposure" not in config["storageClasses"]:
        raise UsageError(
            f"the repository {place} does not know the storage classes of diapipe; set DAF_BUTLER_CONFIG_PATH to "
            f"{CONFIG_FOLDER} wherever it is used, or make one with `diapipe init`"
        )
    if lost := _lost_file(config):
        raise UsageError(f"the repository {place} has lost its database: {lost} is not there; bring it back")
    logging.getLogger("lsst.daf.butler").addHandler(logging.NullHandler())  # the error says it, and says it once
    try:
        return Butler.from_config(config, writeable=writeable)
    except DBAPIError as error:
        address = str(config["registry", "db"]).replace(f"{BUTLER_ROOT_TAG}/", "")
        told = _in_one_line(error.orig or error)  # without its SQL
        raise InputError(f"cannot use {address}, the database of {place}: {told}") from error
    except IncompatibleVersionError as error:
        raise UsageError(
            f"{place} was made by another version of the butler, whose database this one cannot use: "
            f"{_in_one_line(error)}; use the version that made it"
        ) from error


def _lost_file(config: ButlerConfig) -> str:
    """The file of an SQLite database that is not there; empty else."""
    url = make_url(str(config["registry", "db"]))
    if url.get_backend_name() != "sqlite" or config.configDir is None or not config.configDir.isLocal:
        return ""
    path = Path(str(url.database).replace(BUTLER_ROOT_TAG, config.configDir.ospath))
    return "" if path.exists() else str(path)


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
