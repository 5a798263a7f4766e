"""Which PostgreSQL it is: the one that a URL names, or our own."""

from dataclasses import dataclass, field
from typing import Self

from pydantic import SecretStr

from runfold.embedded.server import EmbeddedServer
from runfold.errors import LedgerClosed, UsageError
from runfold.settings import Settings
from runfold.store.address import fault_of, for_tenant, waiting
from runfold.store.datastore import Datastore
from runfold.store.setup.migrate import is_done, migrate


@dataclass
class Database:
    """A database, and who may change its schema."""

    url: str
    admin_url: str
    projector_url: str
    embedded: EmbeddedServer | None = None
    reader_url: str | None = None
    sealer_url: str | None = None
    _is_closed: bool = field(default=False, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The database that the settings name; the embedded one is started. Raises EmbeddedServerFailed, UsageError.

        Where only RUNFOLD_ADMIN_URL is set, as before there are other logins, that is the database.
        """
        _require_addresses(settings)
        named = settings.database_url or settings.admin_url
        if named is not None:
            url = named.get_secret_value()
            reader = settings.reader_url.get_secret_value() if settings.reader_url else None
            return cls(
                url,
                _or(settings.admin_url, url),
                _or(settings.projector_url, url),
                reader_url=reader,
                sealer_url=_or(settings.sealer_url, url),
            )
        server = EmbeddedServer.start(settings.home, settings.pg_bin)
        return cls(
            server.url(),
            server.admin_url,
            server.url("runfold_projector"),
            server,
            sealer_url=server.url("runfold_sealer"),
        )

    def prepare(self) -> None:
        """Bring our own server's schema up to date. Another's is migrated by `runfold migrate` alone."""
        if self.embedded is not None and not is_done(self.admin_url):
            migrate(self.admin_url)

    def administering(self, connect_timeout: float) -> str:
        """The address as who may change the schema, dump and restore."""
        return waiting(self.admin_url, connect_timeout)

    def datastore(self, connect_timeout: float, *, projector: bool = False) -> Datastore:
        """Connections to it; with `projector`, as a role that may fold read models. Raises LedgerClosed."""
        self._require_open()
        url = self.projector_url if projector else self.url
        return Datastore(url, connect_timeout, revive=self.embedded.ensure_running if self.embedded else None)

    def sealing(self, connect_timeout: float) -> Datastore:
        """Connections as a role that may seal the log. Raises LedgerClosed."""
        self._require_open()
        revive = self.embedded.ensure_running if self.embedded else None
        return Datastore(self.sealer_url or self.url, connect_timeout, max_connections=2, revive=revive)

    def url_for(self, role: str, tenant: str) -> str:
        """The address for another program, as `reader`, `app`, `projector` or `admin`. Raises UsageError."""
        if role == "reader":
            url = self.embedded.url("runfold_reader") if self.embedded else self.reader_url
        else:
            url = {"app": self.url, "projector": self.projector_url, "admin": self.admin_url}[role]
        if url is None:
            raise UsageError("RUNFOLD_READER_URL is not set; name a login that was granted runfold_reader, or pass --role app")
        return for_tenant(url, tenant)

    def keep_for_program(self) -> None:
        """Let the program that this process becomes keep the embedded server."""
        if self.embedded is not None:
            self.embedded.keep_for_program()

    def _require_open(self) -> None:
        if self._is_closed:
            raise LedgerClosed

    def close(self) -> None:
        """Make no more connections, and give up our share of the embedded server."""
        self._is_closed = True
        if self.embedded is not None:
            self.embedded.close()


def _or(given: SecretStr | None, otherwise: str) -> str:
    return given.get_secret_value() if given else otherwise


def _require_addresses(settings: Settings) -> None:
    """Raise UsageError for what is no address, which is not shown: it may hold a password."""
    for setting in ("database_url", "admin_url", "projector_url", "reader_url", "sealer_url"):
        given: SecretStr | None = getattr(settings, setting)
        if given is None:
            continue
        if (fault := fault_of(given.get_secret_value())) is not None:
            name = f"RUNFOLD_{setting.upper()}"
            step = "write one such as postgresql://USER:PASSWORD@HOST:5432/DATABASE, with % and what has a meaning in it as %XX"
            raise UsageError(f"{name} {fault}; {step}", setting=name)
