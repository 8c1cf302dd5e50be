"""What is: the schema, room by room. Importing this package loads every table into `Base.metadata`."""

from erp_core.tables import (
    billing,
    catalog,
    chat,
    desk,
    fulfilment,
    governance,
    models,
    parties,
    proof,
    purchasing,
    returns,
    sales,
    stock,
)
from erp_core.tables.base import Base

__all__ = [
    "Base",
    "billing",
    "catalog",
    "chat",
    "desk",
    "fulfilment",
    "governance",
    "models",
    "parties",
    "proof",
    "purchasing",
    "returns",
    "sales",
    "stock",
]
