"""``diapipe ingest``: files of a camera into a repository."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from diapipe.cli.options import FILE, talk

if TYPE_CHECKING:
    from diapipe.tasks.repository.ingest_sorting import Ingested

_TRANSFERS = ("direct", "copy", "symlink", "hardlink", "move")


def _list_cameras(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Show the cameras that come with diapipe, and end."""
    if value:
        from diapipe.tasks.repository.camera_description import shipped_cameras

        found = shipped_cameras()
        width = max(map(len, found))
        for name, title in found.items():
            click.echo(f"{name:{width}}  {title}")
        context.exit()


@click.command(short_help="Take FITS files into a repository.")
@click.argument("repository", type=FILE, metavar="REPO")
@click.argument("files", nargs=-1, required=True, metavar="FILES|FOLDERS|PATTERNS...")
@click.option(
    "--camera",
    metavar="NAME|FILE",
    help="decam, ztf, lsstcam-dc2, simulator, fits, or the YAML file of any other.  [default: the repository's]",
)
@click.option(
    "--transfer",
    type=click.Choice(_TRANSFERS),
    default="direct",
    show_default=True,
    help="direct leaves the files where they are; the others put them into the repository.",
)
@click.option("-j", "threads", type=click.IntRange(min=1), default=1, show_default=True, help="Headers read at once.")
@click.option("--dry-run", is_flag=True, help="Show what the files are taken for, and change nothing.")
@click.option("--update-camera", is_flag=True, help="Replace the repository's description of the camera.")
@click.option("--list-cameras", is_flag=True, is_eager=True, expose_value=False, callback=_list_cameras,
              help="Show the cameras that come with diapipe.")  # fmt: skip
@talk
def ingest(
    repository: Path, files: tuple[str, ...], camera: str | None, quiet: bool, verbose: bool, **options: Any
) -> int:
    """Take FITS files into the repository REPO.

    Each file is taken whole or not at all; one that cannot be is named with its reason, and the exit status is then 1.
    Files that are there already stay as they are, so that the same command can be given again at any time.
    """
    from diapipe.cli.counts import counts_for
    from diapipe.tasks.repository import open_repository
    from diapipe.tasks.repository.camera_description import load_camera
    from diapipe.tasks.repository.ingest import ingest as take
    from diapipe.tasks.repository.ingest_files import files_in
    from diapipe.tasks.repository.stored_cameras import only_camera

    with open_repository(repository, writeable=not options["dry_run"]) as butler:
        found = only_camera(butler) if camera is None else load_camera(camera)
        with counts_for(quiet=quiet) as progress:
            done = take(butler, found, files_in(files, found), progress=progress, **options)
    for refusal in done.refused:
        click.echo(f"diapipe: {refusal}", err=True)
    if not quiet:
        _tell(done, repository, dry_run=options["dry_run"])
    return 1 if done.refused else 0


def _tell(done: Ingested, repository: Path, *, dry_run: bool) -> None:
    """What was done, or would be; then what comes next."""
    if dry_run:
        for path, images in done.files:
            for image in images:
                click.echo(f"{path}: {image}")
        click.echo(f"{done.summary.replace(' ingested', ' to ingest', 1)}; nothing was changed")
        return
    click.echo(done.summary)
    if done.files:
        click.echo(f"Next: diapipe define-visits {quote(str(repository))}")
