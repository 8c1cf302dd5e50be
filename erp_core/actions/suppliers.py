"""Master data of the buying side: suppliers, where items come from, how much may differ."""

from __future__ import annotations

from typing import Any

from erp_core.actions.context import Change, Context
from erp_core.actions.masters import all_there, values
from erp_core.commands import SaveSupplier, SetSource, SetTolerance
from erp_core.commands.base import Strict
from erp_core.errors import NotFound
from erp_core.tables.base import Base
from erp_core.tables.catalog import Item
from erp_core.tables.parties import Entity, Supplier
from erp_core.tables.purchasing import ItemSource, Tolerance

NEEDED = ("name", "lead_time_days", "risk")
SCOPES = {"entity": Entity, "supplier": Supplier, "item": Item}


def save(command: SaveSupplier, context: Context) -> Change:
    """Add or change. Who did approves nothing that is bought there."""
    session = context.session
    said = command.model_dump(exclude={"type", "supplier"}, exclude_none=True)
    known = session.get(Supplier, command.supplier, with_for_update={"key_share": True})
    before = values(known, said) if known is not None else None
    if known is None:
        all_there(command.supplier, said, NEEDED)
        known = Supplier(code=command.supplier, status="active", three_way=True, version=0)
        session.add(known)
    for name, value in said.items():
        setattr(known, name, value)
    known.version += 1
    session.flush()
    tag = "supplier:master:changed" if before is not None else "supplier:master:added"
    return Change(tag, f"supplier:{known.code}", before, values(known, said))


def set_source(command: SetSource, context: Context) -> Change:
    """Where an item can be bought."""
    session = context.session
    if session.get(Item, command.sku) is None or session.get(Supplier, command.supplier) is None:
        raise NotFound(f"There is no item {command.sku} or no supplier {command.supplier}.")
    before, after = _put(ItemSource, {"sku": command.sku, "supplier": command.supplier}, command, context)
    return Change("item:source:set", f"item:{command.sku}:{command.supplier}", before, after)


def set_tolerance(command: SetTolerance, context: Context) -> Change:
    """How much may differ; a field left out goes back to the wider scope."""
    session = context.session
    if session.get(SCOPES[command.scope], command.key) is None:
        raise NotFound(f"There is no {command.scope} {command.key}.")
    before, after = _put(Tolerance, {"scope": command.scope, "key": command.key}, command, context)
    return Change("tolerance:master:set", f"{command.scope}:{command.key}", before, after)


def _put(
    table: type[Base], key: dict[str, str], command: Strict, context: Context
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Write all that is said, also what is empty, under a key; what stood there before, if anything, and what does now."""
    said = command.model_dump(exclude={"type", *key})
    known = context.session.get(table, tuple(key.values()), with_for_update=True)
    before = values(known, said) if known is not None else None
    if known is None:
        known = table(**key)
        context.session.add(known)
    for name, value in said.items():
        setattr(known, name, value)
    context.session.flush()
    return before, values(known, said)
