"""Master data changes through commands alone: customers, terms, limits, items, units, prices."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from erp_core.actions import accounts, cases, checks
from erp_core.actions.context import Change, Context
from erp_core.commands import (
    OpenCase,
    SaveCustomer,
    SaveItem,
    SetBankAccount,
    SetCapacity,
    SetPrice,
    SetTerms,
    SetUnit,
)
from erp_core.commands.masters import DeliveryWishes
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.queries import catalog
from erp_core.rules.names import alike, spelling
from erp_core.tables.billing import CustomerAccount
from erp_core.tables.catalog import Item, ItemUnit, Price, TierPrice
from erp_core.tables.parties import BankAccount, Customer, Entity
from erp_core.tables.sales import Hold, OrderLine, SalesOrder
from erp_core.tables.stock import Warehouse
from erp_core.values import CHANGEABLE_ORDER_STATUSES, Priority, Queue

NEEDED_OF_CUSTOMER = ("name", "entity", "currency", "country")
NEEDED_OF_ITEM = ("name", "uom", "list_price", "unit_cost")


def save_customer(command: SaveCustomer, context: Context) -> Change:
    """Add or change. A new customer has no credit until somebody gives it; one much like another is looked at."""
    session = context.session
    said = command.model_dump(exclude={"type", "customer", "delivery"}, exclude_none=True)
    known = session.get(Customer, command.customer, with_for_update={"key_share": True})
    if command.delivery is not None:
        said["delivery"] = _wishes(known.delivery if known is not None else {}, command.delivery)
    if "entity" in said and session.get(Entity, said["entity"]) is None:
        raise NotFound(f"There is no entity {said['entity']}.")
    if known is not None:
        before = values(known, said)
        for name, value in _written(said).items():
            setattr(known, name, value)
        known.version += 1
        session.flush()
        checks.look_again(known.code, context)
        return Change("customer:master:changed", f"customer:{known.code}", before, values(known, said))
    all_there(command.customer, said, NEEDED_OF_CUSTOMER)
    made = Customer(
        **{"tier": "C", "status": "active", **said},
        code=command.customer,
        payment_terms_days=0,
        credit_limit=0,
        version=1,
    )
    session.add(made)
    session.flush()
    session.add(CustomerAccount(customer=made.code, open_orders=0, order_count=0, order_value=0))
    session.flush()
    _look_alike(
        "customer", made.code, made.name, catalog.neighbours(session, Customer.code, made.code, made.name), context
    )
    return Change("customer:master:added", f"customer:{made.code}", None, values(made, said))


def _wishes(known: Mapping[str, Any], said: DeliveryWishes) -> dict[str, Any]:
    """What a customer wants of its deliveries from now on; wishes that ended are not there."""
    now = {**known, **said.model_dump(mode="json", exclude_none=True)}
    return {k: v for k, v in now.items() if v and not (k == "smallest_order" and Decimal(v) == 0)}


def _look_alike(kind: str, code: str, name: str, others: dict[str, str], context: Context) -> None:
    """A master record much like another is a case for the steward, not a refusal: firms do have branches."""
    twin = alike(name, others)
    if twin is None:
        return
    words = f"{kind.capitalize()} {code} ({name}) is much like {twin} ({others[twin]})."
    cases.open_or_add(
        OpenCase(
            kind="master_data",
            subject=f"{kind}:{code}",
            title=words[:200],
            queue=Queue.MASTER_DATA,
            priority=Priority.NORMAL,
            details={"problems": [words], "twin": twin},
        ),
        context,
    )


def all_there(key: str, said: dict[str, Any], needed: tuple[str, ...]) -> None:
    """What a new record cannot be without is said. Raises RuleViolation."""
    missing = [name for name in needed if name not in said]
    if missing:
        words = f"{key} is new: say its {', '.join(missing)} too."
        raise RuleViolation([Problem("data_missing", words, {"missing": missing})])


def _written(said: dict[str, Any]) -> dict[str, Any]:
    """What is said, and with a name the vector that finds its neighbours."""
    return {**said, "name_vector": spelling(said["name"])} if "name" in said else said


def values(record: Any, said: dict[str, Any]) -> dict[str, Any]:
    """What a record holds of these fields, as the journal keeps it."""
    return {name: value if isinstance(value := getattr(record, name), bool | dict) else str(value) for name in said}


def set_terms(command: SetTerms, context: Context) -> Change:
    """Terms and discount; the day is written down, because credit control looks at what changed lately."""
    customer = accounts.lock(context.session, command.customer)
    before = {"payment_terms_days": customer.payment_terms_days, "discount_percent": str(customer.discount_percent)}
    today = context.now.date()
    if command.payment_terms_days is not None and command.payment_terms_days != customer.payment_terms_days:
        customer.payment_terms_days, customer.terms_changed_on = command.payment_terms_days, today
    if command.discount_percent is not None and command.discount_percent != customer.discount_percent:
        customer.discount_percent, customer.discount_changed_on = command.discount_percent, today
    customer.version += 1
    context.session.flush()
    checks.look_again(customer.code, context)
    after = {"payment_terms_days": customer.payment_terms_days, "discount_percent": str(customer.discount_percent)}
    return Change("customer:terms:changed", f"customer:{customer.code}", before, after)


def set_bank_account(command: SetBankAccount, context: Context) -> Change:
    """The journal says that it changed and shows the end of it, no more."""
    accounts.lock(context.session, command.customer)
    known = context.session.get(BankAccount, command.customer)
    before = {"iban": _masked(known.iban)} if known else None
    if known is None:
        context.session.add(BankAccount(customer=command.customer, iban=command.iban))
    else:
        known.iban, known.version = command.iban, known.version + 1
    context.session.flush()
    return Change("customer:bank:changed", f"customer:{command.customer}", before, {"iban": _masked(command.iban)})


def _masked(iban: str) -> str:
    return f"…{iban.replace(' ', '')[-4:]}"


def save_item(command: SaveItem, context: Context) -> Change:
    """Add or change an item; orders that wait for it are looked at again when its price or state changed."""
    session = context.session
    said = command.model_dump(exclude={"type", "sku"}, exclude_none=True)
    known = session.get(Item, command.sku, with_for_update={"key_share": True})
    if known is not None:
        if "uom" in said and said["uom"] != known.uom:
            words = f"{known.sku} is counted by {known.uom}; stock and orders are in that unit. Add a unit instead."
            raise RuleViolation([Problem("base_unit_fixed", words, {"uom": known.uom})])
        before = values(known, said)
        for name, value in _written(said).items():
            setattr(known, name, value)
        session.flush()
        _reprice(None, known.sku, context)
        return Change("item:master:changed", f"item:{known.sku}", before, values(known, said))
    all_there(command.sku, said, NEEDED_OF_ITEM)
    made = Item(**{"units_per_case": 1, "hazmat": False, "status": "active", **said}, sku=command.sku)
    session.add(made)
    session.flush()
    _look_alike("item", made.sku, made.name, catalog.neighbours(session, Item.sku, made.sku, made.name), context)
    return Change("item:master:added", f"item:{made.sku}", None, values(made, said))


def set_unit(command: SetUnit, context: Context) -> Change:
    """A further unit of an item, exactly."""
    item = context.session.get(Item, command.sku)
    if item is None:
        raise NotFound(f"There is no item {command.sku}.")
    if command.uom == item.uom:
        raise RuleViolation([Problem("base_unit_fixed", f"{command.uom} is the base unit of {item.sku}.")])
    known = context.session.get(ItemUnit, (command.sku, command.uom))
    before = {"ratio": f"{known.numerator}/{known.denominator}"} if known else None
    if known is None:
        known = ItemUnit(sku=command.sku, uom=command.uom, numerator=command.numerator, denominator=command.denominator)
        context.session.add(known)
    else:
        known.numerator, known.denominator = command.numerator, command.denominator
    context.session.flush()
    after = {"ratio": f"{known.numerator}/{known.denominator}"}
    return Change("item:unit:set", f"item:{command.sku}:{command.uom}", before, after)


def set_price(command: SetPrice, context: Context) -> Change:
    """A contract or tier price; open orders it concerns are looked at again."""
    session = context.session
    if session.get(Item, command.sku) is None:
        raise NotFound(f"There is no item {command.sku}.")
    if command.customer is not None and session.get(Customer, command.customer) is None:
        raise NotFound(f"There is no customer {command.customer}.")
    known: Price | TierPrice | None
    same = {"sku": command.sku, "min_quantity": command.min_quantity, "valid_from": command.valid_from}
    if command.customer is not None:
        known = session.scalars(select(Price).filter_by(customer=command.customer, **same)).one_or_none()
        made: Price | TierPrice = Price(customer=command.customer, **same)
    else:
        known = session.scalars(select(TierPrice).filter_by(tier=command.tier, **same)).one_or_none()
        made = TierPrice(tier=command.tier, **same)
    before = {"unit_price": str(known.unit_price)} if known else None
    target = known or made
    target.unit_price, target.valid_to = command.unit_price, command.valid_to
    session.add(target)
    session.flush()
    _reprice(command.customer, command.sku, context)
    after = command.model_dump(mode="json", exclude={"type"}, exclude_none=True)
    return Change("price:master:set", f"price:{command.customer or command.tier}:{command.sku}", before, after)


def set_capacity(command: SetCapacity, context: Context) -> Change:
    """Orders that only a full warehouse held back are looked at again."""
    place = context.session.get(Warehouse, command.warehouse, with_for_update={"key_share": True})
    if place is None:
        raise NotFound(f"There is no warehouse {command.warehouse}.")
    before, place.capacity = {"capacity": place.capacity}, command.capacity
    context.session.flush()
    query = (
        select(SalesOrder.number)
        .join(Hold, Hold.order_number == SalesOrder.number)
        .where(
            SalesOrder.warehouse == place.code,
            SalesOrder.status.in_(CHANGEABLE_ORDER_STATUSES),
            Hold.reason == "shipping",
            Hold.released_at.is_(None),
        )
        .order_by(SalesOrder.ordered_at, SalesOrder.number)
    )
    numbers = list(dict.fromkeys(context.session.scalars(query)))
    accounts.lock_orders(context.session, numbers)
    checks.recheck(numbers, context)
    return Change("warehouse:master:capacity", f"warehouse:{place.code}", before, {"capacity": place.capacity})


def _reprice(customer: str | None, sku: str | None, context: Context) -> None:
    """Look again at orders under a price, margin or data hold that this may mend or break."""
    query = (
        select(SalesOrder.number)
        .join(OrderLine, OrderLine.order_number == SalesOrder.number)
        .join(Hold, Hold.order_number == SalesOrder.number)
        .where(
            SalesOrder.status.in_(CHANGEABLE_ORDER_STATUSES),
            Hold.reason.in_(["price", "margin", "data", "credit"]),
            Hold.released_at.is_(None),
        )
        .order_by(SalesOrder.number)
    )
    if customer is not None:
        query = query.where(SalesOrder.customer == customer)
    if sku is not None:
        query = query.where(OrderLine.sku == sku)
    numbers = list(dict.fromkeys(context.session.scalars(query)))
    accounts.lock_orders(context.session, numbers)
    checks.recheck(numbers, context)
