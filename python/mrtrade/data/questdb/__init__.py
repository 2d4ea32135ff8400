"""Moving what a QuestDB holds into a store of mrtrade, a symbol and a day at a time.

Rests on QuestDB's documentation; what was run against what is told in ``docs/questdb.md``.
"""

from mrtrade.data.questdb.addresses import open_transport
from mrtrade.data.questdb.mapping import Mapping
from mrtrade.data.questdb.migrate import Migration, Window, migrate
from mrtrade.data.questdb.transports import Transport

__all__ = ["Mapping", "Migration", "Transport", "Window", "migrate", "open_transport"]
