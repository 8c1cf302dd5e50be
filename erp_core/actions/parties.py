"""Contacts and delivery addresses."""

from __future__ import annotations

from sqlalchemy import func, select

from erp_core.actions.context import Change, Context
from erp_core.commands import UpdateContact, UpdateShipTo
from erp_core.errors import NotFound
from erp_core.tables.parties import Contact, Customer, ShipTo


def update_contact(command: UpdateContact, context: Context) -> Change:
    """Add the person, or change what was said anew; what was not said stays."""
    _customer(command.customer, context)
    query = select(Contact).where(
        Contact.customer == command.customer, func.lower(Contact.email) == command.email.lower()
    )
    contact = context.session.scalars(query.with_for_update()).one_or_none()
    before = None
    if contact is None:
        contact = Contact(
            customer=command.customer, email=command.email, name=command.name, role=command.role, phone=command.phone
        )
        context.session.add(contact)
    else:
        before = _contact(contact)
        contact.name = command.name
        contact.role = command.role or contact.role
        contact.phone = command.phone or contact.phone
    context.session.flush()
    return Change("customer:contact:updated", f"customer:{command.customer}", before, _contact(contact))


def update_ship_to(command: UpdateShipTo, context: Context) -> Change:
    """Add the delivery address, or change the one of this name."""
    _customer(command.customer, context)
    query = select(ShipTo).where(ShipTo.customer == command.customer, ShipTo.name == command.name)
    place = context.session.scalars(query.with_for_update()).one_or_none()
    before = None
    if place is None:
        place = ShipTo(customer=command.customer, name=command.name, address=command.address, country=command.country)
        context.session.add(place)
    else:
        before = {"name": place.name, "address": place.address, "country": place.country}
        place.address, place.country = command.address, command.country
    context.session.flush()
    after = {"name": place.name, "address": place.address, "country": place.country}
    return Change("customer:address:updated", f"customer:{command.customer}", before, after)


def _customer(code: str, context: Context) -> None:
    if context.session.get(Customer, code) is None:
        raise NotFound(f"There is no customer {code}.")


def _contact(contact: Contact) -> dict[str, str | None]:
    return {"name": contact.name, "email": contact.email, "role": contact.role, "phone": contact.phone}
