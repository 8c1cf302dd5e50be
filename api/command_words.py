"""Every command in one line, as a person would say it before signing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from api.words import day, money, wishes

Said = Mapping[str, Any]


def command_words(command: Said) -> str:
    """What a command does, in one line."""
    return _COMMANDS[command["type"]](command)


def _lines(command: Said) -> str:
    said = [f"{_plain(x['quantity'])} {x.get('uom') or ''} {x['sku']}".replace("  ", " ") for x in command["lines"]]
    return _few(said)


def _handled(command: Said) -> str:
    return _few([f"{_plain(x['quantity'])} of line {x['line']}" for x in command["lines"]])


def _few(said: list[str]) -> str:
    return ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")


def _plain(number: Any) -> str:
    text = str(number)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _set(command: Said, *but: str) -> str:
    """The fields that are said, besides those named."""
    said = {k: v for k, v in command.items() if v is not None and k not in ("type", *but)}
    wanted = [f"{name.lower()} {told}" for name, told in wishes(said.pop("delivery", {})).items()]
    return ", ".join([*(f"{k.replace('_', ' ')} {_plain(v)}" for k, v in said.items()), *wanted])


def _for_firm(command: Said) -> str:
    return "" if command.get("entity", "*") == "*" else f" for {command['entity']}"


def _amend(command: Said) -> str:
    parts = []
    for change in command.get("changes", []):
        where = f"line {change['line']}" if change.get("line") else f"new line {change.get('sku')}"
        if change.get("quantity") is not None:
            quantity = _plain(change["quantity"])
            parts.append(
                f"remove {where}" if quantity == "0" else f"{where} to {quantity} {change.get('uom') or ''}".strip()
            )
        if change.get("reprice"):
            parts.append(f"{where} at the agreed or list price")
        if change.get("requested_date"):
            parts.append(f"{where} on {day(change['requested_date'])}")
    if command.get("requested_date"):
        parts.append(f"requested date {day(command['requested_date'])}")
    if command.get("ship_to"):
        parts.append("another delivery address")
    return f"Change {command['order']}: {', '.join(parts)}"


def _amend_purchase(command: Said) -> str:
    parts = []
    for change in command["changes"]:
        what = [f"{_plain(change['quantity'])} pieces" if change.get("quantity") is not None else ""]
        what.append(f"at {money(change['unit_cost'])}" if change.get("unit_cost") is not None else "")
        parts.append(f"line {change['line']} to {' '.join(filter(None, what))}")
    return f"Change purchase order {command['purchase_order']}: {', '.join(parts)}"


def _on_line(command: Said) -> str:
    return f", line {command['line']}" if command.get("line") else ""


def _limit(command: Said) -> str:
    until = f" until {day(command['expires'])}" if command.get("expires") else ""
    excluded = ", and credit control passes over it" if command.get("excluded") else ""
    return f"Set the credit limit of {command['customer']} to {money(command['credit_limit'])}{until}{excluded}"


def _price(command: Said) -> str:
    whose = command.get("customer") or f"tier {command.get('tier')}"
    many = f" from {_plain(command['min_quantity'])} on" if command.get("min_quantity") else ""
    return f"Agree {money(command['unit_price'])} for {command['sku']} with {whose}{many}, from {day(command['valid_from'])}"


_COMMANDS: dict[str, Callable[[Said], str]] = {
    "place_order": lambda c: (
        f"Enter an order for {c['customer']}"
        + (f", PO {c['customer_po']}" if c.get("customer_po") else "")
        + f": {_lines(c)}"
    ),
    "amend_order": _amend,
    "cancel_order": lambda c: f"Cancel {c['order']}",
    "expedite_order": lambda c: (
        f"Put {c['order']} ahead"
        + (f", needed by {day(c['needed_by'])}" if c.get("needed_by") else "")
        + (f", at a cost of {money(c['cost'])}" if c.get("cost") else "")
    ),
    "substitute_item": lambda c: f"Deliver {c['substitute_sku']} on {c['order']}, line {c['line']}",
    "decline_substitution": lambda c: f"Keep the item ordered on {c['order']}{_on_line(c)}",
    "request_change": lambda c: f"Ask whoever has the goods: {command_words(c['change'])}",
    "place_hold": lambda c: f"Hold {c['order']}{_on_line(c)} ({c['reason']})",
    "release_hold": lambda c: f"Release the {c['reason']} hold of {c['order']}{_on_line(c)}",
    "promise_date": lambda c: f"Promise {c['order']} for {day(c['promised_date'])}",
    "confirm_pick": lambda c: f"{c['order']} is picked at {c['warehouse']}",
    "confirm_pack": lambda c: f"{c['order']} is packed at {c['warehouse']}",
    "return_to_shelf": lambda c: f"The goods of {c['order']} are back on the shelf at {c['warehouse']}",
    "confirm_shipment": lambda c: f"{c['shipment']} left {c['warehouse']} for {c['order']}: {_handled(c)}",
    "confirm_delivery": lambda c: f"{c['shipment']} was delivered on {day(c['occurred_at'])}",
    "report_delay": lambda c: (
        f"{c['shipment']} is late" + (f", expected {day(c['expected_at'])}" if c.get("expected_at") else "")
    ),
    "report_count": lambda c: f"{c['warehouse']} counted {_plain(c['counted'])} of {c['sku']}",
    "adjust_stock": lambda c: (
        f"Set the stock of {c['sku']} at {c['warehouse']} to {_plain(c['on_hand'])}: {c['reason']}"
    ),
    "run_backorders": lambda c: (
        f"Give free stock to waiting orders{' at ' + c['warehouse'] if c.get('warehouse') else ''}"
    ),
    "reallocate": lambda c: (
        f"Move {_plain(c['quantity'])} from {c['from_order']}, line {c['from_line']}, to {c['order']}, line {c['line']}"
    ),
    "record_remittance": lambda c: f"Record a remittance of {money(c['amount'])}, reference {c['reference']}",
    "post_payment": lambda c: f"Post {money(c['amount'])} received from {c['customer']}, reference {c['reference']}",
    "report_credit": lambda c: (
        f"Finance on {c['customer']}: {'stop deliveries' if c['standing'] == 'stop' else 'in good standing'}, "
        f"{money(c.get('owed_elsewhere') or '0')} owed elsewhere"
    ),
    "issue_credit_memo": lambda c: f"Give back {money(c['amount'])} on {c['invoice']}: {c['reason']}",
    "request_return": lambda c: f"Ask for a return of {c['order']} ({c['reason'].replace('_', ' ')}): {_handled(c)}",
    "authorise_return": lambda c: f"Let the goods of {c['return_number']} come back",
    "refuse_return": lambda c: f"Refuse {c['return_number']}: {c['reason']}",
    "receive_return": lambda c: f"{c['return_number']} arrived at {c['warehouse']}: {_handled(c)}",
    "credit_return": lambda c: f"Give back the money for {c['return_number']}",
    "draft_purchase": lambda c: f"Write a purchase order to {c['supplier']} for {c['warehouse']}: {_lines(c)}",
    "approve_purchase": lambda c: f"Approve purchase order {c['purchase_order']}",
    "send_purchase": lambda c: f"Send purchase order {c['purchase_order']} to its supplier",
    "acknowledge_purchase": lambda c: (
        f"The supplier confirms {c['purchase_order']}"
        + (f" for {day(c['expected_date'])}" if c.get("expected_date") else "")
    ),
    "update_expected_date": lambda c: f"Expect {c['purchase_order']}{_on_line(c)} on {day(c['expected_date'])}",
    "amend_purchase": _amend_purchase,
    "cancel_purchase": lambda c: f"End {c['purchase_order']}: {c['reason']}",
    "receive_goods": lambda c: (
        f"Goods at {c['warehouse']}"
        + (f" for {c['purchase_order']}" if c.get("purchase_order") else " without an order")
        + f": {_lines(c)}"
    ),
    "put_away": lambda c: f"The goods of {c['receipt']} are in their places",
    "settle_quarantine": lambda c: f"Goods set apart, number {c['quarantined']}: {c['outcome'].replace('_', ' ')}",
    "record_bill": lambda c: (
        f"Record invoice {c['number']} of {c['supplier']}"
        + (f" for {c['purchase_order']}" if c.get("purchase_order") else "")
    ),
    "approve_match": lambda c: f"Accept the differences of invoice {c['bill']} of {c['supplier']}: {c['note']}",
    "reject_bill": lambda c: f"Send invoice {c['bill']} of {c['supplier']} back: {c['note']}",
    "release_payment": lambda c: f"Pay invoice {c['bill']} of {c['supplier']}",
    "save_supplier": lambda c: f"Keep supplier {c['supplier']}: {_set(c, 'supplier')}",
    "set_source": lambda c: f"Buy {c['sku']} from {c['supplier']} at {money(c['unit_cost'])}",
    "set_tolerance": lambda c: (
        f"Set what may differ for {c['scope']} {c['key']}: {_set(c, 'scope', 'key') or 'as usual'}"
    ),
    "transfer_stock": lambda c: f"Bring {_plain(c['quantity'])} {c['sku']} from {c['source']} to {c['target']}",
    "ship_transfer": lambda c: f"{c['transfer']} left",
    "receive_transfer": lambda c: f"{c['transfer']} arrived",
    "cancel_transfer": lambda c: f"Cancel {c['transfer']}: {c['reason']}",
    "update_contact": lambda c: f"Set contact {c['name']}, {c['email']}, of {c['customer']}",
    "update_ship_to": lambda c: f"Set a delivery address of {c['customer']}: {c['address']}",
    "save_customer": lambda c: f"Keep customer {c['customer']}: {_set(c, 'customer')}",
    "set_terms": lambda c: f"Set the terms of {c['customer']}: {_set(c, 'customer')}",
    "set_credit_limit": _limit,
    "set_bank_account": lambda c: f"Refund {c['customer']} to {c['iban']} from now on",
    "save_item": lambda c: f"Keep item {c['sku']}: {_set(c, 'sku')}",
    "set_unit": lambda c: (
        f"One {c['uom']} of {c['sku']} holds {c['numerator']}"
        + (f"/{c['denominator']}" if c.get("denominator", 1) != 1 else "")
        + " base units"
    ),
    "set_price": _price,
    "set_capacity": lambda c: (
        f"{c['warehouse']} works on {'any number of' if c.get('capacity') is None else c['capacity']} orders at once"
    ),
    "open_case": lambda c: f"Open a case: {c['title']}",
    "route_case": lambda c: (
        f"Hand over to {c['queue'].replace('_', ' ')}, {c['priority']}: {c['matter']['kind'].replace('_', ' ')}"
    ),
    "close_case": lambda c: f"Close the case: {c['resolution']}",
    "dismiss_case": lambda c: f"Dismiss the case: {c['reason']}",
    "pause_case": lambda c: f"Let the due time stand still until {day(c['until'])}: it waits for the {c['waits_for']}",
    "resume_case": lambda c: "Let the due time run on",
    "check_step": lambda c: f"Check off step {c['step']}",
    "send_message": lambda c: f"{'Reply' if c.get('in_reply_to') else 'Write'} to {c['to']}",
    "propose_policy": lambda c: f"Propose a policy: {c['summary']}",
    "backtest_policy": lambda c: f"Replay the last {c['days']} days under policy version {c['version']}",
    "activate_policy": lambda c: (
        f"Put policy version {c['version']} in force"
        + (f" from {day(c['active_from'])}" if c.get("active_from") else "")
        + f": {c['reason']}"
    ),
    "withdraw_policy": lambda c: f"Call off policy version {c['version']}: {c['reason']}",
    "roll_back_policy": lambda c: f"Return to policy version {c['version']}",
    "record_prompt": lambda c: f"Keep a new text of the prompt {c['name']}",
    "nominate_model": lambda c: f"Put model version {c['version']} up for promotion: {c['reason']}",
    "report_model": lambda c: f"Keep what was measured of model version {c['version']}",
    "promote_model": lambda c: f"Bring model version {c['version']} into use: {c['reason']}",
    "roll_back_model": lambda c: f"Return to the former version of {c['name'].replace('_', ' ')}",
    "keep_sample": lambda c: f"Keep case {c['case']} as a sample: {c['why']}",
    "review_sample": lambda c: (
        f"{'Take' if c['accept'] else 'Leave'} sample {c['sample']} {'into' if c['accept'] else 'out of'} the set"
    ),
    "save_user": lambda c: (
        f"{'Keep' if c.get('active', True) else 'End'} the account of {c['name']}, {c['email']}: "
        f"{', '.join(c['roles']).replace('_', ' ') or 'no role'}, up to {money(c['approval_limit'])}, "
        f"{'all firms' if '*' in c.get('entities', ['*']) else ', '.join(c['entities'])}"
    ),
    "delegate_authority": lambda c: (
        f"Lend {', '.join(c['roles']).replace('_', ' ')} to {c['to']} until {day(c['ends_at'])}"
    ),
    "end_delegation": lambda c: f"End delegation {c['delegation']}",
    "stop_agent": lambda c: f"Stop the agent{_for_firm(c)}: {c['reason']}",
    "resume_agent": lambda c: f"Let the agent work again{_for_firm(c)}: {c['reason']}",
}
