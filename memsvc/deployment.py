"""Where the database is: the embedded server, or the one that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from memsvc.config import Settings
from memsvc.errors import ConfigurationError
from memsvc.store import keys
from memsvc.store.keys import CreatedKey, KeyInfo
from memsvc.store.migrate import migrate as migrate_database
from memsvc.store.migrate import scrub as scrub_database

DATABASE = "memsvc"
LOCAL_TENANT = "default"
LOCAL_PRINCIPAL = "local"


@dataclass(frozen=True, slots=True)
class Deployment:
    """Two roles on one database: the owner migrates and makes keys, the application does everything else."""

    app_url: str
    owner_url: str
    embedded: bool

    @property
    def app_role(self) -> str | None:
        """Name of the application role."""
        return make_url(self.app_url).username


@contextmanager
def deploy(settings: Settings) -> Iterator[Deployment]:
    """The database of these settings, running for as long as the block; an embedded one is migrated too."""
    if settings.database_url is not None:
        app_url = settings.database_url.get_secret_value()
        owner_url = app_url if settings.admin_database_url is None else settings.admin_database_url.get_secret_value()
        yield Deployment(app_url, owner_url, embedded=False)
        return
    if settings.admin_database_url is not None:
        raise ConfigurationError(
            "MEMSVC_ADMIN_DATABASE_URL is set but MEMSVC_DATABASE_URL is not",
            remedy="Set both to use your own Postgres, or neither to use the embedded one.",
        )
    # Imported here: the embedded server's wheel does not exist on every platform.
    from memsvc.store.embedded import EmbeddedServer

    server = EmbeddedServer(settings.data_dir)
    address = server.start()
    try:
        deployment = Deployment(address.app_url(DATABASE), address.owner_url(DATABASE), embedded=True)
        migrate_database(deployment.owner_url, application_role=deployment.app_role)
        yield deployment
    finally:
        server.stop()


def migrate(settings: Settings) -> None:
    """Bring the database of these settings to the newest schema."""
    with deploy(settings) as deployment:
        migrate_database(deployment.owner_url, application_role=deployment.app_role)


def create_key(settings: Settings, *, tenant: str, principal: str, scopes: list[str]) -> CreatedKey:
    """Make an API key in the database of these settings."""
    with deploy(settings) as deployment:
        return keys.create_key(deployment.owner_url, tenant=tenant, principal=principal, scopes=scopes)


def list_keys(settings: Settings) -> list[KeyInfo]:
    """Every API key of the database of these settings."""
    with deploy(settings) as deployment:
        return keys.list_keys(deployment.owner_url)


def revoke_key(settings: Settings, prefix: str) -> KeyInfo:
    """Revoke the API key with this prefix."""
    with deploy(settings) as deployment:
        return keys.revoke_key(deployment.owner_url, prefix)


def ensure_local_key(deployment: Deployment, key_file: Path) -> None:
    """At the first start on this machine, make one key that the CLI, the SDK and the demo pick up.

    The file is readable by its owner alone, and written whole or not at all.
    """
    if key_file.exists():
        return
    created = keys.create_key(deployment.owner_url, tenant=LOCAL_TENANT, principal=LOCAL_PRINCIPAL, scopes=keys.SCOPES)
    key_file.parent.mkdir(parents=True, exist_ok=True)
    partial = key_file.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600, exist_ok=False)
    partial.write_text(created.key + "\n")
    partial.replace(key_file)


def require_keys(deployment: Deployment, host: str) -> None:
    """Beyond loopback, somebody must have decided who may come in."""
    if not any(key.revoked_at is None for key in keys.list_keys(deployment.owner_url)):
        raise ConfigurationError(
            f"refusing to listen on {host}: there is no API key",
            remedy="Make one with `memsvc keys create`, or listen on 127.0.0.1.",
        )


def scrub(settings: Settings) -> None:
    """Write the tables of these settings' database anew, so that erased rows are in none of their files."""
    with deploy(settings) as deployment:
        scrub_database(deployment.owner_url)
