"""The log of one database: what appends to it, and what reads it."""

from runfold.errors import UnsafeDurability
from runfold.store.appending.writer import Writer
from runfold.store.datastore import Datastore
from runfold.store.reading.reader import Reader
from runfold.store.setup import migrate


class Recorder:
    """The log of one database, where `writer` appends and `reader` reads."""

    def __init__(self, datastore: Datastore) -> None:
        self.store = datastore
        self.writer = Writer(datastore)
        self.reader = Reader(datastore)

    def close(self) -> None:
        """Give all connections back."""
        self.writer.close()
        self.store.close()

    def require_ready(self, *, unsafe_durability: bool = False) -> None:
        """Raise MigrationRefused for a schema of another time, UnsafeDurability for a server that may lose what it took."""
        migrate.check(self.reader)
        if not unsafe_durability and (unsafe := self.reader.unsafe_settings()):
            raise UnsafeDurability(unsafe)
