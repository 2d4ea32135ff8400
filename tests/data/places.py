"""Where a store can be, so that one test runs on each: `place` is the fixture to take.

Its id says which: ``parquet`` (a folder), ``s3`` (Parquet on S3), ``native``, ``plain`` and
``wasm`` (databases, see `tests.servers`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mrtrade.data.store import Entry, Store
from mrtrade.data.stores import open_store

from ..servers import Server

DATABASES = ("native", "plain", "wasm")
PLACES = ("parquet", "s3", *DATABASES)


class Place:
    """An address where a store is, empty at first."""

    kind: str
    url: str

    def __init__(self) -> None:
        self._opened: list[Store] = []

    def open(self) -> Store:
        """Open the store; it is closed when the test ends."""
        self._opened.append(open_store(self.url))
        return self._opened[-1]

    def close(self) -> None:
        for store in self._opened:
            store.close()
        self._opened.clear()

    def flip_a_bit(self, entry: Entry) -> None:
        """Change one bit of what is stored of a partition, behind the store's back."""
        raise NotImplementedError


class FolderPlace(Place):
    kind = "parquet"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.url = str(folder)

    def flip_a_bit(self, entry: Entry) -> None:
        [part] = Path(self.url).glob(
            f"{entry.table}/exchange={entry.exchange}/symbol={entry.symbol}/dt={entry.day}/*.parquet"
        )
        part.write_bytes(flipped(part.read_bytes()))


class S3Place(Place):
    kind = "s3"

    def __init__(self, server: Server, bucket: str) -> None:
        super().__init__()
        self.url = f"s3://{bucket}/a/store"
        self._client, self._bucket = server.client(), bucket

    def flip_a_bit(self, entry: Entry) -> None:
        prefix = f"a/store/{entry.table}/exchange={entry.exchange}/symbol={entry.symbol}/"
        found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix)["Contents"]
        [key] = [
            one["Key"]
            for one in found
            if f"dt={entry.day}/" in one["Key"] and one["Key"].endswith(".parquet")
        ]
        content = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        self._client.put_object(Bucket=self._bucket, Key=key, Body=flipped(content))


class DatabasePlace(Place):
    """A database of a server, set up by `mrtrade db init`, or as it was made."""

    def __init__(self, server: Server, database: str, *, set_up: bool = True) -> None:
        from mrtrade.data.timescale import load_settings, migrate

        super().__init__()
        self.kind, self.server, self.database = server.kind, server, database
        self.url = server.url(database)
        if set_up:
            migrate(load_settings(self.url))

    def sql(self, statement: str, *values: object) -> list[tuple]:
        """Run a statement as the server's administrator, and return its rows."""
        with self.server.connect(self.database) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def flip_a_bit(self, entry: Entry) -> None:
        from mrtrade.data.schemas import SQL_NAMES

        symbol = self.sql(
            "SELECT symbol_id FROM symbols WHERE (exchange, symbol) = (%s, %s)",
            *(entry.exchange, entry.symbol),
        )
        # The last bit of a price: 1 + 2^-52, say.
        self.sql(
            f"UPDATE {SQL_NAMES[entry.table]} SET price = price * (1 + 2.220446049250313e-16) "
            "WHERE symbol_id = %s AND row_no = 1 AND received_time >= %s AND received_time < %s",
            *(symbol[0][0], f"{entry.day} 00:00Z", f"{entry.day} 24:00Z"),
        )


def flipped(content: bytes) -> bytes:
    """Return bytes with one bit changed, a quarter of the way in: among the values."""
    changed = bytearray(content)
    changed[len(changed) // 4] ^= 1
    return bytes(changed)


def at(*kinds: str) -> pytest.MarkDecorator:
    """Run a test that takes the fixture `place` at each kind that is named."""
    marked = [
        pytest.param(kind, marks=[] if kind == "parquet" else pytest.mark.server(kind), id=kind)
        for kind in kinds
    ]
    return pytest.mark.parametrize("place", marked, indirect=True)


@pytest.fixture
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """An empty store of the kind that `at` named."""
    kind: str = request.param
    if kind == "parquet":
        found: Place = FolderPlace(tmp_path / "store")
    else:
        server: Server = request.getfixturevalue(f"{kind}_server")
        database: Callable[[Server], str] = request.getfixturevalue("database")
        request.getfixturevalue("on_server")(server)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        name = database(server)
        found = S3Place(server, name) if kind == "s3" else DatabasePlace(server, name)
    yield found
    found.close()
