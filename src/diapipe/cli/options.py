"""Options that commands share, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from diapipe.errors import UsageError

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FILE = click.Path(path_type=Path)


def several(*decorators: Decorator) -> Decorator:
    """Decorators as one, the first outermost."""

    def apply(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorate in reversed(decorators):
            function = decorate(function)
        return function

    return apply


def odd(_context: click.Context, _parameter: click.Parameter, value: int | None) -> int | None:
    """Refuse an even size: a kernel has a middle pixel."""
    if value is not None and (value < 3 or value % 2 == 0):
        raise click.BadParameter(f"{value} is not odd and at least 3; a kernel has a middle pixel, so give {value | 1}")
    return value


def positive(_context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse zero, negative and undefined values."""
    if value is not None and not 0 < value < float("inf"):
        raise click.BadParameter(f"{value:g} is not positive")
    return value


def finite(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no finite number."""
    if value is not None and not abs(value) < float("inf"):
        raise click.BadParameter(f"{value:g} is not a finite number")
    return value


def not_negative(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse negative and undefined values."""
    if value is not None and not 0 <= value < float("inf"):
        raise click.BadParameter(f"{value:g} is not 0 or positive")
    return value


def known_method(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a name that stands for no way to subtract; the families are imported only where a name is given."""
    from diapipe.cli.recipes import by_method

    try:
        by_method(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error
    return value


talk = several(
    click.option("--quiet", is_flag=True, help="Say nothing but errors."),
    click.option("--verbose", is_flag=True, help="Tell what was done and why; show the traceback of a defect."),
)


def detector_constants(image: str) -> Decorator:
    """Options for what the cards of an image do not say; those of the science image have no prefix."""
    prefix, of = ("", "science image") if image == "science" else ("template-", "template")
    return several(
        click.option(f"--{prefix}gain", type=float, callback=positive, help=f"Electrons per count of the {of}."),
        click.option(
            f"--{prefix}read-noise", type=float, callback=not_negative, help=f"Read noise of the {of} in electrons."
        ),
        click.option(
            f"--{prefix}saturation", type=float, callback=positive, help=f"Counts at which the {of} saturates."
        ),
        click.option(
            f"--{prefix}zero-point", type=float, callback=finite, help=f"AB magnitude of one count of the {of}."
        ),
        click.option(f"--{prefix}hdu", help=f"Number or name of the HDU that holds the {of}."),
        click.option(f"--{image}-variance", type=FILE, help=f"FITS file with the variance of the {of}."),
        click.option(f"--{image}-mask", type=FILE, help=f"FITS file with the mask of the {of}."),
    )
