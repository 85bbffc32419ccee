"""What a run of `ImageDifferenceTask` writes: datasets by name, and as files of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from astropy.table import Table
from lsst.pex.config import Config
from lsst.pipe.base import Struct, TaskMetadata

from diapipe.errors import InternalError
from diapipe.images import Difference, Exposure
from diapipe.io import write_difference, write_exposure, write_parquet, write_text
from diapipe.tasks.connections import dataset_names, written
from diapipe.tasks.dataset_names import DP1

_NAMES_IN_RESULT = {"kernelSrc": "selectSources"}
"""Where a result calls a product by another name."""


def datasets(config: Any, result: Struct, *, metadata: TaskMetadata, log: list[str]) -> dict[str, Any]:
    """Everything that is to be written: by connection, and ``metadata``, ``log`` and ``config``.

    Parameters
    ----------
    config
        Of the task; says what is written.
    result
        What ``run`` returned.
    metadata
        Of the task and its subtasks.
    log
        Lines of the run.

    Returns
    -------
    dict
        Objects; a difference goes with its kernel, so that both can be rebuilt.
    """
    found = {
        name: getattr(result, _NAMES_IN_RESULT.get(name, name), None)
        for name, is_written in written(config).items()
        if is_written
    }
    if found.get("subtractedExposure") is not None:
        found["subtractedExposure"] = result.subtractRes.difference
    if config.saveMetadata:
        found["metadata"] = metadata
    if config.saveLogOutput:
        found["log"] = log
    return {name: value for name, value in found.items() if value is not None} | {"config": config}


def dataset_name(config: Any, product: str) -> str:
    """Name of the dataset of a product, ``difference_image``, ``deepDiff_differenceExp`` and so on."""
    other = f"imageDifference_{product}" if config.coaddName == DP1 else f"{config.coaddName}Diff_{product}"
    return dataset_names(config).get(product, other)


def write(config: Any, products: dict[str, Any], folder: Path) -> dict[str, Path]:
    """Write products into a folder, one file each, named after its dataset.

    Parameters
    ----------
    config
        Of the task.
    products
        From `datasets`.
    folder
        Made if it is not there.

    Returns
    -------
    dict
        File by product.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {name: _written(value, folder / dataset_name(config, name)) for name, value in products.items()}


def _written(value: Any, stem: Path) -> Path:
    """The file of one product."""
    match value:
        case Difference():
            path = stem.with_suffix(".fits")
            write_difference(value, path)
        case Exposure():
            path = stem.with_suffix(".fits")
            write_exposure(value, path)
        case Table():
            path = stem.with_suffix(".parquet")
            write_parquet(value, path)
        case TaskMetadata():
            path = stem.with_suffix(".json")
            write_text(path, value.model_dump_json(indent=1) + "\n")
        case Config():
            path = stem.with_suffix(".py")
            write_text(path, value.saveToString())
        case list():
            path = stem.with_suffix(".log")
            write_text(path, "".join(f"{line}\n" for line in value))
        case _:
            raise InternalError(f"no file is made of a {type(value).__name__}")
    return path
