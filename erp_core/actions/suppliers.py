"""Master data of the buying side: suppliers, where items come from, how much may differ."""

from __future__ import annotations

from typing import Any

from erp_core.actions.context import Change, Context
from erp_core.commands import SaveSupplier, SetSource, SetTolerance
from erp_core.errors import NotFound, Problem, RuleViolation
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
    before = None
    if known is None:
        missing = [name for name in NEEDED if name not in said]
        if missing:
            words = f"{command.supplier} is new: say its {', '.join(missing)} too."
            raise RuleViolation([Problem("data_missing", words, {"missing": missing})])
        known = Supplier(code=command.supplier, status="active", three_way=True, version=0)
        session.add(known)
    else:
        before = _values(known, said)
    for name, value in said.items():
        setattr(known, name, value)
    known.version += 1
    session.flush()
    tag = "supplier:master:changed" if before is not None else "supplier:master:added"
    return Change(tag, f"supplier:{known.code}", before, _values(known, said))


def _values(record: Any, said: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value := getattr(record, name), bool) else str(value) for name in said}


def set_source(command: SetSource, context: Context) -> Change:
    """Where an item can be bought."""
    session = context.session
    if session.get(Item, command.sku) is None or session.get(Supplier, command.supplier) is None:
        raise NotFound(f"There is no item {command.sku} or no supplier {command.supplier}.")
    said = command.model_dump(exclude={"type", "sku", "supplier"})
    known = session.get(ItemSource, (command.sku, command.supplier), with_for_update=True)
    before = _values(known, said) if known is not None else None
    if known is None:
        known = ItemSource(sku=command.sku, supplier=command.supplier)
        session.add(known)
    for name, value in said.items():
        setattr(known, name, value)
    session.flush()
    return Change("item:source:set", f"item:{command.sku}:{command.supplier}", before, _values(known, said))


def set_tolerance(command: SetTolerance, context: Context) -> Change:
    """How much may differ; a field left out goes back to the wider scope."""
    session = context.session
    if session.get(SCOPES[command.scope], command.key) is None:
        raise NotFound(f"There is no {command.scope} {command.key}.")
    said = command.model_dump(exclude={"type", "scope", "key"})
    known = session.get(Tolerance, (command.scope, command.key), with_for_update=True)
    before = _values(known, said) if known is not None else None
    if known is None:
        known = Tolerance(scope=command.scope, key=command.key)
        session.add(known)
    for name, value in said.items():
        setattr(known, name, value)
    session.flush()
    return Change("tolerance:master:set", f"{command.scope}:{command.key}", before, _values(known, said))
