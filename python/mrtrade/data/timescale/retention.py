"""Partitions that are old enough to go, and can be told from a backfill.

A policy of the server goes by the time of the rows: a year of history that was loaded yesterday
would be gone today. Here the age of a partition counts from its day or from when it was written,
whichever is later, and nothing goes unless somebody asks for it.
"""

from mrtrade.data.store import Series
from mrtrade.data.timescale.connection import connect, told
from mrtrade.data.timescale.layout import layout
from mrtrade.data.timescale.store import TimescaleStore
from mrtrade.instruments import from_lake

_OLD = """
SELECT exchange, symbol, to_char(day, 'YYYY-MM-DD')
FROM partitions JOIN symbols USING (symbol_id)
WHERE table_name = %s
  AND greatest((day + 1)::timestamptz, written_at) < now() - make_interval(days => %s)
ORDER BY exchange, symbol, day
"""


def expired(store: TimescaleStore, table: str, days: int) -> list[tuple[Series, str]]:
    """Return the partitions of a table, with their UTC days, that are older than some days.

    Both their rows and their writing are: what was loaded, or replaced, since then is not.
    """
    with connect(store.settings) as connection, told(store.settings):
        found = connection.execute(_OLD, [layout(table).table, days]).fetchall()
    return [((table, exchange, from_lake(symbol)), day) for exchange, symbol, day in found]
