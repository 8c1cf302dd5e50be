"""What an identified customer may do for itself: order, for its own account, by the same command and rules as every other order."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from sqlalchemy.orm import Session

from erp_core import actions
from erp_core.commands import PlaceOrder
from erp_core.errors import NotAuthorised
from erp_core.tables.chat import Chat

OURS = ("number", "ordered_at", "payment_terms_days", "warehouse")  # what a customer does not say


def form_token(chat: Chat) -> str:
    """What a form of this customer must carry, so that no other site can post it."""
    return hashlib.sha256(f"form:{chat.token_hash}".encode()).hexdigest()


def check_form(chat: Chat, token: str) -> None:
    """Refuse a form that was not rendered for this customer. Raises NotAuthorised."""
    if not hmac.compare_digest(form_token(chat).encode(), token.encode()):
        raise NotAuthorised("This form is not from your session; reload the page.")


def allowed(chat: Chat, command: PlaceOrder) -> None:
    """A customer orders for its own account, at our prices. Raises NotAuthorised."""
    own = command.customer == chat.customer and command.channel == "portal" and chat.staff is None
    if not own or any(getattr(command, name) is not None for name in OURS):
        raise NotAuthorised("You can order for your own account only.")
    if any(line.unit_price is not None for line in command.lines):
        raise NotAuthorised("Prices are ours to say; leave them out.")


def order(session: Session, chat: Chat, command: PlaceOrder, *, key: str, now: datetime) -> actions.Result:
    """Enter the order. The same key enters it once. Raises NotAuthorised, and whatever the entry raises."""
    allowed(chat, command)
    return actions.execute(session, command, key=f"portal:{chat.id}:{key}", actor=f"contact:{chat.email}", now=now)
