"""Announced payments."""

from __future__ import annotations

from sqlalchemy import select

from erp_core.actions.context import Change, Context
from erp_core.commands import RecordRemittance
from erp_core.errors import NotFound, Problem, RuleViolation
from erp_core.tables.billing import Invoice, Remittance
from erp_core.tables.parties import Customer
from erp_core.tables.sales import SalesOrder
from erp_core.values import money


def record_remittance(command: RecordRemittance, context: Context) -> Change:
    """Write the payment down, unapplied; credit applies it when the money is there."""
    session = context.session
    if session.get(Customer, command.customer) is None:
        raise NotFound(f"There is no customer {command.customer}.")
    problems = [p for number in command.invoices for p in _invoice_problems(command.customer, number, context)]
    same = select(Remittance).where(Remittance.customer == command.customer, Remittance.reference == command.reference)
    if session.scalars(same).first() is not None:
        text = f"Remittance {command.reference} of {command.customer} is recorded already."
        problems.append(Problem("remittance_known", text, {"reference": command.reference}))
    if problems:
        raise RuleViolation(problems)
    session.add(
        Remittance(
            customer=command.customer,
            reference=command.reference,
            amount=money(command.amount),
            paid_on=command.paid_on,
            invoices=list(command.invoices),
            recorded_at=context.now,
        )
    )
    after = command.model_dump(mode="json", exclude={"type"})
    return Change("payment:remittance:recorded", f"customer:{command.customer}", None, after)


def _invoice_problems(customer: str, number: str, context: Context) -> list[Problem]:
    query = (
        select(Invoice)
        .join(SalesOrder, SalesOrder.number == Invoice.order_number)
        .where(Invoice.number == number, SalesOrder.customer == customer)
    )
    if context.session.scalars(query).first() is None:
        return [Problem("invoice_unknown", f"{number} is no invoice of {customer}.", {"invoice": number})]
    return []
