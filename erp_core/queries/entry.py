"""What somebody who enters an order chooses from, and what is meant by a name."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from erp_core.errors import Problem, RuleViolation
from erp_core.tables.catalog import Item
from erp_core.tables.parties import Customer
from erp_core.tables.sales import OrderLine, SalesOrder
from erp_core.tables.stock import Warehouse

MOST_CALLED_SO = 5


def customers(session: Session, limit: int = 500) -> list[tuple[str, str]]:
    """Customers to choose from, those that ordered lately first."""
    last = (
        select(SalesOrder.customer, func.max(SalesOrder.ordered_at).label("at"))
        .group_by(SalesOrder.customer)
        .subquery()
    )
    query = select(Customer.code, Customer.name).outerjoin(last, last.c.customer == Customer.code)
    query = query.where(Customer.status == "active").order_by(last.c.at.desc().nulls_last(), Customer.code).limit(limit)
    return [(code, name) for code, name in session.execute(query)]


def goods(session: Session, customer: str, limit: int = 200) -> list[tuple[str, str]]:
    """Items to choose from: those that a customer bought, most often first; of nobody, those of the catalogue."""
    query = select(Item.sku, Item.name).where(Item.status == "active").limit(limit)
    if customer:
        bought = select(OrderLine.sku, func.count().label("times")).join(
            SalesOrder, SalesOrder.number == OrderLine.order_number
        )
        times = bought.where(SalesOrder.customer == customer).group_by(OrderLine.sku).subquery()
        query = query.outerjoin(times, times.c.sku == Item.sku).order_by(times.c.times.desc().nulls_last(), Item.sku)
    else:
        query = query.order_by(Item.sku)
    return [(sku, name) for sku, name in session.execute(query)]


def code_of(session: Session, table: type[Customer] | type[Item], said: str) -> str:
    """The code of a customer or item that is meant by code, or by words of its name; as said when nobody is called so.

    Raises RuleViolation, naming some, when the words fit several.
    """
    code, name = (Customer.code, Customer.name) if table is Customer else (Item.sku, Item.name)
    words = said.split()
    if not words or session.get(table, said.strip().upper()) is not None:
        return said.strip().upper()
    query = select(code, name).where(table.status == "active", *(name.icontains(w, autoescape=True) for w in words))
    found = [
        (c, n)
        for c, n in session.execute(
            query.order_by(func.lower(name) != " ".join(words).lower(), code).limit(MOST_CALLED_SO + 1)
        )
    ]
    whole = [(c, n) for c, n in found if n.casefold() == " ".join(words).casefold()]
    if len(whole or found) == 1:
        return str((whole or found)[0][0])
    if found:
        told = "; ".join(f"{c} {n}" for c, n in found[:MOST_CALLED_SO])
        more = " and more" if len(found) > MOST_CALLED_SO else ""
        raise RuleViolation(
            [Problem("several_called_so", f"Several are called {said.strip()}: {told}{more}. Take one by its code.")]
        )
    return said.strip().upper()


def warehouses(session: Session) -> list[tuple[str, str]]:
    """Our warehouses."""
    return [
        (code, name) for code, name in session.execute(select(Warehouse.code, Warehouse.name).order_by(Warehouse.code))
    ]
