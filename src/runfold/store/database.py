"""Which PostgreSQL it is: the one that a URL names, or our own."""

from dataclasses import dataclass
from typing import Self

from pydantic import SecretStr

from runfold.embedded.server import EmbeddedServer
from runfold.settings import Settings
from runfold.store.datastore import Datastore
from runfold.store.migrate import migrate


@dataclass
class Database:
    """A database, and who may change its schema."""

    url: str
    admin_url: str
    projector_url: str
    embedded: EmbeddedServer | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The database that the settings name; the embedded one is started. Raises EmbeddedServerFailed."""
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            return cls(url, _or(settings.admin_url, url), _or(settings.projector_url, url))
        server = EmbeddedServer.start(settings.home, settings.pg_bin)
        return cls(server.url(), server.admin_url, server.url("runfold_projector"), server)

    def prepare(self) -> None:
        """Bring our own server's schema up to date. Another's is migrated by `runfold migrate` alone."""
        if self.embedded is not None:
            migrate(self.admin_url)

    def datastore(self, connect_timeout: float, *, projector: bool = False) -> Datastore:
        """Connections to it; with `projector`, as a role that may fold read models."""
        url = self.projector_url if projector else self.url
        return Datastore(url, connect_timeout, revive=self.embedded.ensure_running if self.embedded else None)

    def close(self) -> None:
        """Give up our share of the embedded server."""
        if self.embedded is not None:
            self.embedded.close()


def _or(given: SecretStr | None, otherwise: str) -> str:
    return given.get_secret_value() if given else otherwise
