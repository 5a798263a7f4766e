"""Which PostgreSQL it is: the one that a URL names, or our own."""

from dataclasses import dataclass
from typing import Self

from runfold.settings import Settings
from runfold.store.datastore import Datastore
from runfold.store.embedded import EmbeddedServer
from runfold.store.migrate import migrate


@dataclass
class Database:
    """A database, and who may change its schema."""

    url: str
    admin_url: str
    embedded: EmbeddedServer | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The database that the settings name; the embedded one is started. Raises EmbeddedServerFailed."""
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            return cls(url, settings.admin_url.get_secret_value() if settings.admin_url else url)
        server = EmbeddedServer.start(settings.home, settings.pg_bin)
        return cls(server.url(), server.admin_url, server)

    def prepare(self) -> None:
        """Bring our own server's schema up to date. Another's is migrated by `runfold migrate` alone."""
        if self.embedded is not None:
            migrate(self.admin_url)

    def datastore(self, connect_timeout: float) -> Datastore:
        """Connections to it."""
        return Datastore(self.url, connect_timeout, revive=self.embedded.ensure_running if self.embedded else None)

    def close(self) -> None:
        """Give up our share of the embedded server."""
        if self.embedded is not None:
            self.embedded.close()
