"""How the console says things: commands, fields, moments, money."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from erp_core.values import kind_words

TAGS = {
    "message:case:received": "Mail received, original kept",
    "case:facts:recorded": "Agent read the case and looked up the facts",
    "case:proposal:filed": "Proposal filed",
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
    "case:clock:paused": "Due time stands still",
    "case:clock:resumed": "Due time runs on",
    "case:step:checked": "Step of the playbook done",
    "case:sla:breached": "Late; handed to the next person",
    "case:sla:escalated": "Still late; handed on",
    "case:desk:assigned": "Assignment changed",
    "case:desk:routed": "Case routed",
    "case:desk:closed": "Case closed",
    "case:desk:dismissed": "Case dismissed; nothing was done",
    "case:desk:drilled": "Dismissed while a drill was shown: the drill is over, the case goes on",
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
    "order:hold:refreshed": "Hold stands, on other facts",
    "case:agent:claimed": "Agent took the case",
    "order:hold:lifted": "Hold lifted, its reason is gone",
    "message:outbox:queued": "Reply queued for sending",
    "message:outbox:sent": "Reply sent",
    "message:outbox:failed": "Reply could not be sent",
    "payment:remittance:recorded": "Remittance recorded",
    "customer:contact:updated": "Contact updated",
    "customer:address:updated": "Delivery address updated",
    "proposal:desk:expired": "Proposal expired",
    "proposal:desk:superseded": "Proposal withdrawn, its goods were moved",
    "policy:version:shipped": "Policy that came with the program",
    "policy:version:withdrawn": "Policy that was to come is withdrawn",
    "case:evidence:packed": "Evidence pack written",
    "message:outbox:retried": "Reply not taken yet; tried again later",
    "model:version:recorded": "Prompt written",
    "model:version:trained": "Model trained",
    "model:version:adopted": "First model of its name came into use",
    "model:version:nominated": "Model put up for promotion, runs in the shadow",
    "model:version:measured": "Model measured",
    "model:version:promoted": "Model promoted",
    "model:version:rolled_back": "Model rolled back",
    "model:predictions:recorded": "Predictions recorded",
    "sample:feedback:kept": "Kept as a sample of what went wrong",
    "sample:feedback:accepted": "Sample taken into the set",
    "sample:feedback:refused": "Sample left out of the set",
    "policy:version:proposed": "Policy proposed",
    "policy:version:backtested": "Policy replayed over what was",
    "policy:version:activated": "Policy put in force",
    "policy:version:rolled_back": "Policy rolled back",
    "user:account:added": "Account added",
    "user:account:changed": "Account changed",
    "access:command:refused": "Tried what the person may not",
    "user:code:sent": "Sign-in code sent",
    "user:password:set": "Password set with a code",
    "user:token:issued": "API token made",
    "user:token:revoked": "API token ended",
    "user:authority:delegated": "Authority lent",
    "user:authority:returned": "Lent authority ended",
    "agent:switch:stopped": "Agent stopped",
    "agent:switch:resumed": "Agent works again",
    "purchase:desk:drafted": "Purchase order written",
    "purchase:desk:approved": "Purchase order approved",
    "purchase:desk:sent": "Purchase order sent",
    "purchase:desk:amended": "Purchase order changed",
    "purchase:desk:cancelled": "Purchase order ended",
    "purchase:supplier:acknowledged": "Supplier confirmed the purchase order",
    "purchase:supplier:redated": "Goods expected on another day",
    "receipt:goods:recorded": "Goods received",
    "receipt:goods:put_away": "Goods put away",
    "stock:quarantine:settled": "Goods set apart were settled",
    "bill:supplier:recorded": "Supplier invoice recorded",
    "bill:match:approved": "Differences of a supplier invoice accepted",
    "bill:match:rejected": "Supplier invoice sent back",
    "bill:payment:released": "Supplier invoice released for payment",
    "supplier:master:added": "Supplier added",
    "supplier:master:changed": "Supplier changed",
    "supplier:risk:raised": "Supplier's risk raised",
    "item:source:set": "Source of an item set",
    "tolerance:master:set": "Tolerance set",
    "transfer:stock:ordered": "Transfer ordered, goods set aside",
    "transfer:stock:cancelled": "Transfer cancelled",
    "transfer:goods:shipped": "Transfer left",
    "transfer:goods:received": "Transfer arrived",
    "disruption:supply:opened": "Disruption opened",
    "disruption:supply:closed": "Disruption over",
    "customer:bank:changed": "Bank account changed",
    "customer:credit:limited": "Credit limit set",
    "customer:credit:reported": "Finance reported the credit status",
    "customer:credit:outdated": "Older credit report, not taken",
    "customer:master:added": "Customer added",
    "customer:master:changed": "Customer changed",
    "customer:terms:changed": "Terms changed",
    "installation:folder:imported": "Files imported",
    "invoice:billing:posted": "Invoice made",
    "invoice:credit:issued": "Credit memo issued",
    "item:master:added": "Item added",
    "item:master:changed": "Item changed",
    "item:unit:set": "Unit of an item set",
    "message:notice:queued": "Notice to the customer queued",
    "order:change:asked": "Change passed on to whoever has the goods",
    "order:goods:picked": "Goods picked",
    "order:goods:packed": "Goods packed",
    "order:goods:returned_to_shelf": "Goods back on the shelf",
    "order:goods:shipped": "Goods left",
    "order:risk:raised": "A prediction asked for a look",
    "desk:round:made": "The core looked over fresh proposals",
    "model:language:asked": "A language model was asked",
    "chat:assistant:answered": "The assistant answered",
    "chat:customer:asked": "A code for a chat was mailed",
    "chat:customer:identified": "Identified in a chat",
    "chat:customer:received": "Said in a chat",
    "chat:customer:answered": "A colleague answered in a chat",
    "chat:customer:taken": "A colleague took the chat over",
    "chat:customer:closed": "The chat ended",
    "drill:desk:caught": "A drill was seen",
    "drill:desk:missed": "A drill was signed; nothing ran",
    "drill:desk:left": "A drill was over before anybody saw it or signed it",
    "case:place:moved": "Place in the queue moved by a prediction",
    "order:sales:rechecked": "Order checked anew",
    "order:sales:rest_cancelled": "Rest of the order cancelled",
    "order:stock:allocated": "Stock given to the order",
    "order:stock:taken": "Stock taken from the order, because there is less than the books said",
    "order:stock:expired": "Reserved stock went back",
    "payment:customer:posted": "Payment posted",
    "price:master:set": "Price agreed",
    "return:desk:requested": "Return asked for",
    "return:desk:authorised": "Return authorised",
    "return:desk:refused": "Return refused",
    "return:goods:received": "Returned goods arrived",
    "return:money:credited": "Return credited",
    "shipment:carrier:delayed": "Carrier is late",
    "shipment:carrier:delivered": "Delivered",
    "shipment:carrier:waiting": "Delivery reported before its shipment",
    "stock:allocation:moved": "Stock moved between orders",
    "stock:backorders:run": "Backorders served",
    "stock:level:adjusted": "Stock corrected",
    "stock:level:counted": "Stock counted",
    "warehouse:master:capacity": "Capacity of a warehouse set",
}


def tag_words(tag: str) -> str:
    """A journal tag in words; the tag itself when it has none."""
    return TAGS.get(tag, tag)


LINKS = {
    "sales_order": "/orders/",
    "purchase_order": "/purchase-orders/",
    "policy": "/policy/",
    "receipt": "/receipts/",
}


def entry_link(entry: Any) -> str:
    """Where to look at what a journal entry is about; its case when its subject has no page."""
    kind, _, name = str(entry.subject or "").partition(":")
    if kind in LINKS and name:
        return LINKS[kind] + name
    return f"/cases/{entry.case_id}" if entry.case_id else ""


def tags_like(words: str) -> list[str]:
    """Journal tags whose words, or names, hold these words."""
    return [tag for tag, said in TAGS.items() if words.lower() in said.lower() or words.lower() in tag]


def title(name: str | None) -> str:
    """order_change becomes Order change; hold_credit, Credit hold."""
    text = kind_words(name or "")
    return text[:1].upper() + text[1:]


def money(amount: Decimal | str | None) -> str:
    """$1,234.50; empty for nothing."""
    return f"${Decimal(amount):,.2f}" if amount is not None else ""


def quantity(value: Decimal) -> str:
    """1,234.5 without trailing zeros, however large."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(value: datetime | None) -> str:
    """Mon, Jun 15, 15:42."""
    return f"{value:%a, %b} {value.day}, {value:%H:%M}" if value else ""


def stamp(moment: datetime) -> str:
    """With its year: 2026-06-15 12:04:31 UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


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


FIELDS = {
    "status": "Status",
    "sku": "Item",
    "to_warehouse": "To",
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
            told = money if name == FIELDS["total"] else _shown
            rows.append({"field": name, "was": told(old.get(name)) or "–", "now": told(new.get(name)) or "–"})
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
        elif name == "delivery" and isinstance(value, dict):
            flat |= wishes(value)
        else:
            flat[FIELDS.get(name, title(name))] = value
    return flat


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def wishes(delivery: Mapping[str, Any]) -> dict[str, str]:
    """What a customer wants of its deliveries: name and words."""
    told: dict[str, tuple[str, Callable[[Any], str]]] = {
        "weekdays": ("Delivered on", lambda days: ", ".join(DAYS[int(day) - 1] for day in days) or "any day"),
        "countries": ("Delivered in", lambda countries: ", ".join(countries) or "any country"),
        "smallest_order": (
            "Smallest order",
            lambda amount: money(Decimal(str(amount))) if Decimal(str(amount)) else "any",
        ),
        "no_hazmat": ("Dangerous goods", lambda refused: "not taken" if refused else "taken"),
    }
    return {told[k][0]: told[k][1](v) for k, v in delivery.items() if k in told and v is not None}


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list):
        return ", ".join(_shown(v) for v in value)
    if isinstance(value, str) and re.fullmatch(r"[a-z]+(?:_[a-z]+)*", value):
        return title(value)
    if isinstance(value, str) and MOMENT.match(value):
        return moment(datetime.fromisoformat(value))
    if isinstance(value, dict):
        return " ".join(_shown(v) for v in value.values() if v is not None)
    return str(value)
