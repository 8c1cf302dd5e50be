"""How the console says things: commands, fields, moments, money."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

TAGS = {
    "message:case:received": "Mail received, original kept",
    "case:facts:recorded": "Agent read the mail and looked up the facts",
    "case:proposal:filed": "Agent filed the proposal",
    "case:agent:failed": "Agent could not work the case",
    "case:note:added": "Agent added a note",
    "case:proposal:executed": "Approved; the commands ran",
    "case:proposal:signed": "Signed; another signature is awaited",
    "case:proposal:rejected": "Rejected; nothing changed",
    "case:proposal:returned": "Sent back to work",
    "case:proposal:snoozed": "Snoozed",
    "case:proposal:escalated": "Escalated",
    "case:proposal:refused": "Refused; nothing changed",
    "case:proposal:stale": "Stale; nothing ran",
    "case:desk:assigned": "Assignment changed",
    "case:desk:routed": "Case routed",
    "case:desk:closed": "Case closed",
    "case:desk:opened": "Case opened",
    "order:sales:placed": "Order entered",
    "order:sales:amended": "Order amended",
    "order:sales:cancelled": "Order cancelled",
    "order:sales:expedited": "Order put ahead",
    "order:line:substituted": "Item substituted",
    "order:substitution:declined": "Substitute declined",
    "order:date:promised": "Date promised",
    "order:hold:placed": "Hold placed",
    "order:hold:released": "Hold released",
    "order:hold:lifted": "Hold lifted, its reason is gone",
    "message:outbox:queued": "Reply queued for sending",
    "message:outbox:sent": "Reply sent",
    "message:outbox:failed": "Reply could not be sent",
    "payment:remittance:recorded": "Remittance recorded",
    "customer:contact:updated": "Contact updated",
    "customer:address:updated": "Delivery address updated",
    "proposal:desk:expired": "Proposal expired",
}


def tag_words(tag: str) -> str:
    """A journal tag in words; the tag itself when it has none."""
    return TAGS.get(tag, tag)


def title(name: str | None) -> str:
    """order_change becomes Order change."""
    text = (name or "").replace("_", " ")
    return text[:1].upper() + text[1:]


def money(amount: Decimal | str | None) -> str:
    """$1,234.50; empty for nothing."""
    return f"${Decimal(amount):,.2f}" if amount is not None else ""


def moment(value: datetime | None) -> str:
    """Mon, Jun 15, 15:42."""
    return f"{value:%a, %b} {value.day}, {value:%H:%M}" if value else ""


def day(value: Any) -> str:
    """Jun 16; the text itself when it is no date."""
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{parsed:%b} {parsed.day}"


def left(due: datetime | None, now: datetime) -> tuple[str, str]:
    """Time left as h:mm or days, and how urgent that is: over, soon or calm."""
    if due is None:
        return "–", "calm"
    rest = due - now
    minutes = int(abs(rest) / timedelta(minutes=1))
    text = f"{minutes // 60}:{minutes % 60:02d}" if minutes < 48 * 60 else f"{minutes // 1440} days"
    if rest < timedelta(0):
        return f"−{text}", "over"
    return text, "soon" if rest < timedelta(hours=2) else "calm"


def due(value: datetime | None, now: datetime) -> str:
    """15:42 today, Jun 16 on another day."""
    if value is None:
        return ""
    return f"{value:%H:%M}" if value.date() == now.date() else f"{value:%b} {value.day}"


def initials(name: str) -> str:
    """Ida Marsh becomes IM."""
    return "".join(word[0] for word in name.replace(".", " ").split("@")[0].split()[:2]).upper() or "?"


def command_words(command: Mapping[str, Any]) -> str:
    """What a command does, in one line."""
    return _COMMANDS[command["type"]](command)


def _lines(command: Mapping[str, Any]) -> str:
    said = [f"{_plain(x['quantity'])} {x.get('uom', '')} {x['sku']}".replace("  ", " ") for x in command["lines"]]
    return ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")


def _plain(number: Any) -> str:
    text = str(number)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _amend(command: Mapping[str, Any]) -> str:
    parts = []
    for change in command.get("changes", []):
        where = f"line {change['line']}" if change.get("line") else f"new line {change.get('sku')}"
        if change.get("quantity") is not None:
            quantity = _plain(change["quantity"])
            parts.append(
                f"remove {where}" if quantity == "0" else f"{where} to {quantity} {change.get('uom') or ''}".strip()
            )
        if change.get("requested_date"):
            parts.append(f"{where} on {day(change['requested_date'])}")
    if command.get("requested_date"):
        parts.append(f"requested date {day(command['requested_date'])}")
    if command.get("ship_to"):
        parts.append("another delivery address")
    return f"Change {command['order']}: {', '.join(parts)}"


def _on_line(command: Mapping[str, Any]) -> str:
    return f", line {command['line']}" if command.get("line") else ""


_COMMANDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "place_order": lambda c: (
        f"Enter an order for {c['customer']}"
        + (f", PO {c['customer_po']}" if c.get("customer_po") else "")
        + f": {_lines(c)}"
    ),
    "amend_order": _amend,
    "cancel_order": lambda c: f"Cancel {c['order']}",
    "expedite_order": lambda c: (
        f"Put {c['order']} ahead" + (f", needed by {day(c['needed_by'])}" if c.get("needed_by") else "")
    ),
    "substitute_item": lambda c: f"Deliver {c['substitute_sku']} on {c['order']}, line {c['line']}",
    "decline_substitution": lambda c: f"Keep the item ordered on {c['order']}{_on_line(c)}",
    "place_hold": lambda c: f"Hold {c['order']}{_on_line(c)} ({c['reason']})",
    "release_hold": lambda c: f"Release the {c['reason']} hold of {c['order']}{_on_line(c)}",
    "promise_date": lambda c: f"Promise {c['order']} for {day(c['promised_date'])}",
    "record_remittance": lambda c: f"Record a remittance of {money(c['amount'])}, reference {c['reference']}",
    "update_contact": lambda c: f"Set contact {c['name']}, {c['email']}, of {c['customer']}",
    "update_ship_to": lambda c: f"Set a delivery address of {c['customer']}: {c['address']}",
    "open_case": lambda c: f"Open a case: {c['title']}",
    "route_case": lambda c: (
        f"Hand over to {c['queue'].replace('_', ' ')}, {c['priority']}: {c['matter']['kind'].replace('_', ' ')}"
    ),
    "close_case": lambda c: f"Close the case: {c['resolution']}",
    "send_message": lambda c: f"Reply to {c['to']}",
}

FIELDS = {
    "status": "Status",
    "requested_date": "Requested date",
    "promised_date": "Promised date",
    "ship_to": "Delivery address",
    "expedited": "Put ahead",
    "total": "Order total",
    "holds": "Holds",
    "queue": "Queue",
    "priority": "Priority",
    "matter": "Matter",
    "resolution": "Resolution",
    "to": "To",
    "subject": "Subject",
    "body": "Text",
    "attachments": "Attachments",
    "substitution": "Substitute",
}


def diff_rows(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Fields that change: name, now, after."""
    if after and {"reason", "code", "text"} <= after.keys():
        line = f", line {after['line']}" if after.get("line") else ""
        return [{"field": f"{title(after['reason'])} hold{line}", "was": "–", "now": str(after["text"])}]
    if after and {"to", "subject", "body"} <= after.keys():
        attached = f", with {', '.join(after['attachments'])}" if after["attachments"] else ""
        return [{"field": "Mail to", "was": "–", "now": f"{after['to']}{attached}"}]
    old, new = _flat(before or {}), _flat(after or {})
    rows = []
    for name in [*old, *(n for n in new if n not in old)]:
        if old.get(name) != new.get(name):
            rows.append({"field": name, "was": _shown(old.get(name)), "now": _shown(new.get(name))})
    return rows


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name == "lines" and isinstance(value, dict):
            for line, fields in value.items():
                for field, content in fields.items():
                    flat[f"Line {line}, {fields['sku']} {field.replace('_', ' ')}"] = content
        elif name == "matter" and isinstance(value, dict):
            flat |= {f"Matter, {k.replace('_', ' ')}": v for k, v in value.items() if v and k not in ("marks", "note")}
        else:
            flat[FIELDS.get(name, title(name))] = value
    return flat


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list):
        return ", ".join(_shown(v) for v in value)
    if isinstance(value, str) and re.fullmatch(r"[a-z]+(?:_[a-z]+)+", value):
        return title(value)
    if isinstance(value, dict):
        return " ".join(_shown(v) for v in value.values() if v is not None)
    return str(value)
