"""Entities, customers, contacts, suppliers and users."""

from __future__ import annotations

from datetime import date

from sqlalchemy import ARRAY, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from erp_core.tables.base import Base, Json, Moment, Money, NameVector, Percent, derived, neighbours, one_of


class Entity(Base):
    """A legal firm of ours."""

    __tablename__ = "entity"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    currency: Mapped[str]
    country: Mapped[str]


class Customer(Base):
    """Who buys; `credit_limit` in the customer's currency.

    `delivery` holds the customer's own constraints: `countries`, `no_hazmat`, `weekdays` (1 is Monday), `smallest_order` (`DeliveryWishes`).
    `discount_percent` is off the list price, `rebate_percent` is given back later and counts against margin. What finance last
    reported: `credit_standing`, and `owed_elsewhere`, debts that are not in our own books.
    """

    __tablename__ = "customer"
    __table_args__ = (
        one_of("status", ("active", "blocked")),
        one_of("tier", ("A", "B", "C")),
        one_of("credit_standing", ("good", "stop")),
        neighbours("customer"),
    )
    code: Mapped[str] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(ForeignKey("entity.code"))
    name: Mapped[str]
    tier: Mapped[str]
    segment: Mapped[str | None]
    payment_terms_days: Mapped[int]
    credit_limit: Mapped[Money]
    currency: Mapped[str]
    country: Mapped[str]
    email_domain: Mapped[str | None] = mapped_column(index=True)
    status: Mapped[str]
    steward: Mapped[str | None]
    ships_partial: Mapped[bool] = mapped_column(default=False, server_default="false")
    delivery: Mapped[Json] = mapped_column(default=dict, server_default="{}")
    rebate_percent: Mapped[Percent] = mapped_column(default=0, server_default="0")
    discount_percent: Mapped[Percent] = mapped_column(default=0, server_default="0")
    discount_changed_on: Mapped[date | None]
    terms_changed_on: Mapped[date | None]
    limit_expires: Mapped[date | None]
    credit_excluded: Mapped[bool] = mapped_column(default=False, server_default="false")
    credit_standing: Mapped[str] = mapped_column(default="good", server_default="good")
    owed_elsewhere: Mapped[Money] = mapped_column(default=0, server_default="0")
    credit_reported_at: Mapped[Moment | None]
    tax_exempt: Mapped[bool] = mapped_column(default=True, server_default="true")
    name_vector: Mapped[NameVector]
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class BankAccount(Base):
    """Where a customer's refunds go; the agent's role cannot read this table."""

    __tablename__ = "bank_account"
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"), primary_key=True)
    iban: Mapped[str]
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class Contact(Base):
    """A person at a customer."""

    __tablename__ = "contact"
    __table_args__ = (UniqueConstraint("customer", "email"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"))
    name: Mapped[str]
    email: Mapped[str]
    email_key: Mapped[str] = derived("lower(email)")
    role: Mapped[str | None]
    phone: Mapped[str | None]


class ShipTo(Base):
    """A delivery address of a customer."""

    __tablename__ = "ship_to"
    __table_args__ = (UniqueConstraint("customer", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str] = mapped_column(ForeignKey("customer.code"))
    name: Mapped[str]
    address: Mapped[str]
    country: Mapped[str]


class Supplier(Base):
    """Who sells to us; `email` is where purchase orders go.

    Its invoices are matched with orders and receipts, or, when not `three_way`, with orders alone.
    """

    __tablename__ = "supplier"
    __table_args__ = (one_of("risk", ("low", "medium", "high")), one_of("status", ("active", "blocked")))
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    lead_time_days: Mapped[int]
    risk: Mapped[str]
    email_domain: Mapped[str | None] = mapped_column(index=True)
    email: Mapped[str | None]
    three_way: Mapped[bool] = mapped_column(default=True, server_default="true")
    status: Mapped[str] = mapped_column(default="active", server_default="active")
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class User(Base):
    """A colleague; roles and the limit (in the currency of the document) are what policy looks at."""

    __tablename__ = "app_user"
    email: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    approval_limit: Mapped[Money]
    entities: Mapped[list[str]] = mapped_column(ARRAY(Text), default=lambda: ["*"], server_default="{*}")
    active: Mapped[bool] = mapped_column(default=True, server_default="true")


class Delegation(Base):
    """Authority lent: `taker` signs in these roles of `giver`, up to the limit, until it ends. It cannot be lent on."""

    __tablename__ = "delegation"
    __table_args__ = (Index("ix_delegation_taker", "taker"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    giver: Mapped[str] = mapped_column(ForeignKey("app_user.email"))
    taker: Mapped[str] = mapped_column(ForeignKey("app_user.email"))
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    approval_limit: Mapped[Money]
    starts_at: Mapped[Moment]
    ends_at: Mapped[Moment]
    reason: Mapped[str]
    ended_by: Mapped[str | None]


class Credential(Base):
    """An argon2 hash; the agent's role cannot read this table."""

    __tablename__ = "credential"
    email: Mapped[str] = mapped_column(ForeignKey("app_user.email"), primary_key=True)
    password_hash: Mapped[str]
    failed: Mapped[int] = mapped_column(default=0, server_default="0")
    locked_until: Mapped[Moment | None]


class SignIn(Base):
    """A browser session or API token, stored as the SHA-256 of its secret; `scopes` say what a token may do, `name` what it is for."""

    __tablename__ = "sign_in"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(ForeignKey("app_user.email"))
    kind: Mapped[str]
    created_at: Mapped[Moment]
    expires_at: Mapped[Moment]
    name: Mapped[str] = mapped_column(default="", server_default="")
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), default=lambda: ["*"], server_default="{*}")
