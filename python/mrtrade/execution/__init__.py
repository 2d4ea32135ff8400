"""How far a simulated fill can be trusted: queue models held against order-level truth.

`orders` reads a market order by order, `truth` says what became of imagined orders in it,
`predict` what a queue model makes of them on the level feed alone, `grade` compares the two, `fit`
finds a model's parameter, `plots` draws it. ``docs/queue-models.md`` tells what came out.
"""

from mrtrade.execution.fit import PowerFit, TableFit, fit_power, fit_table
from mrtrade.execution.grade import Grade, grade
from mrtrade.execution.orders import OrderLog, read_orders
from mrtrade.execution.predict import Model, parse_model, predicted_waits, read_table
from mrtrade.execution.truth import (
    NEVER,
    Cancellations,
    Probes,
    cancellations,
    draw_probes,
    true_waits,
)

__all__ = [
    "NEVER",
    "Cancellations",
    "Grade",
    "Model",
    "OrderLog",
    "PowerFit",
    "Probes",
    "TableFit",
    "cancellations",
    "draw_probes",
    "fit_power",
    "fit_table",
    "grade",
    "parse_model",
    "predicted_waits",
    "read_orders",
    "read_table",
    "true_waits",
]
