"""prepare_database: a PostgreSQL database made fit for a repository, or one sentence that says what is amiss."""

from __future__ import annotations

import sqlalchemy
from lsst.daf.butler import Config
from lsst.daf.butler.registry import RegistryConfig
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from diapipe.errors import InputError, UsageError

_ENABLE = "CREATE EXTENSION IF NOT EXISTS btree_gist"
_OCCUPIED = "SELECT to_regclass('butler_attributes') IS NOT NULL"


def prepare_database(address: str) -> None:
    """Enable what the Butler needs in a database that holds no repository yet.

    Parameters
    ----------
    address
        ``postgresql://user@host/name``, without a password.

    Raises
    ------
    UsageError
        If the address is of another kind, holds a password or the driver is not installed, or if the database holds a
        repository already.
    InputError
        If the database cannot be reached or lacks btree_gist and does not let us enable it.
    """
    url = _checked(address)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    try:
        with engine.begin() as connection:
            if connection.execute(sqlalchemy.text(_OCCUPIED)).scalar():
                raise UsageError(f"the database {address} holds a repository already; make another with `createdb`")
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"a repository in PostgreSQL needs {missing.name}, which is not installed: pip install 'diapipe[postgres]'"
        ) from missing
    except DBAPIError as error:
        raise InputError(f"cannot use the database {address}: {_first_line(error)}") from error
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(_ENABLE))
    except DBAPIError as error:
        raise InputError(
            f"the database {address} lacks the extension btree_gist, and {_first_line(error)}; its administrator "
            "enables it with `CREATE EXTENSION btree_gist`"
        ) from error


def _checked(address: str) -> sqlalchemy.engine.URL:
    """The address as SQLAlchemy has it, with the password that the user's own files hold."""
    try:
        url = sqlalchemy.engine.make_url(address)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise UsageError(f"{address!r} is no address of a PostgreSQL database: postgresql://user@host/name is needed")
    if url.password is not None:
        raise UsageError(
            f"the address of the database {url.host or ''}/{url.database} holds a password, which butler.yaml would "
            "show to everybody; keep it in ~/.pgpass or ~/.lsst/db-auth.yaml"
        )
    try:
        url.get_dialect()
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise UsageError(f"nothing is installed that speaks to {url.drivername} databases ({error})") from error
    found: sqlalchemy.engine.URL = RegistryConfig(Config({"registry": {"db": address}})).connectionString
    return found


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]
