"""What changes. There is one door, `execute`; every ERP write goes through it and leaves a journal entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from erp_core.actions import (
    allocation,
    billing,
    cases,
    clocks,
    credit,
    fulfilment,
    governance,
    holds,
    intake,
    masters,
    matching,
    messages,
    models,
    orders,
    parties,
    people,
    purchasing,
    quarantine,
    receiving,
    returns,
    segregation,
    suppliers,
    transfers,
)
from erp_core.actions.context import Change, Context, earlier, write_journal
from erp_core.commands import Command, PlaceOrder
from erp_core.errors import Problem, RuleViolation
from erp_core.queries import policies

Act = Callable[[Any, Context], Change]

ACTS: dict[str, Act] = {
    "amend_order": orders.amend,
    "cancel_order": orders.cancel,
    "expedite_order": orders.expedite,
    "substitute_item": orders.substitute,
    "decline_substitution": orders.decline_substitution,
    "promise_date": orders.promise,
    "request_change": orders.request_change,
    "place_hold": holds.place,
    "release_hold": holds.release,
    "confirm_pick": fulfilment.pick,
    "confirm_pack": fulfilment.pack,
    "return_to_shelf": fulfilment.return_to_shelf,
    "confirm_shipment": fulfilment.ship,
    "confirm_delivery": fulfilment.deliver,
    "report_delay": fulfilment.delay,
    "report_count": fulfilment.count,
    "adjust_stock": fulfilment.adjust,
    "run_backorders": allocation.run,
    "reallocate": allocation.reallocate,
    "record_remittance": billing.record_remittance,
    "post_payment": billing.post_payment,
    "report_credit": credit.report,
    "issue_credit_memo": billing.issue_credit_memo,
    "request_return": returns.request,
    "authorise_return": returns.authorise,
    "refuse_return": returns.refuse,
    "receive_return": returns.receive,
    "credit_return": returns.credit,
    "save_customer": masters.save_customer,
    "set_terms": masters.set_terms,
    "set_credit_limit": credit.set_limit,
    "set_bank_account": masters.set_bank_account,
    "save_item": masters.save_item,
    "set_unit": masters.set_unit,
    "set_price": masters.set_price,
    "set_capacity": masters.set_capacity,
    "draft_purchase": purchasing.draft,
    "approve_purchase": purchasing.approve,
    "send_purchase": purchasing.send,
    "acknowledge_purchase": purchasing.acknowledge,
    "update_expected_date": purchasing.update_date,
    "amend_purchase": purchasing.amend,
    "cancel_purchase": purchasing.cancel,
    "receive_goods": receiving.receive,
    "put_away": receiving.put_away,
    "settle_quarantine": quarantine.settle,
    "record_bill": matching.record,
    "approve_match": matching.approve,
    "reject_bill": matching.reject,
    "release_payment": matching.pay,
    "save_supplier": suppliers.save,
    "set_source": suppliers.set_source,
    "set_tolerance": suppliers.set_tolerance,
    "transfer_stock": transfers.order,
    "ship_transfer": transfers.ship,
    "receive_transfer": transfers.receive,
    "cancel_transfer": transfers.cancel,
    "update_contact": parties.update_contact,
    "update_ship_to": parties.update_ship_to,
    "open_case": cases.open_case,
    "route_case": cases.route,
    "close_case": cases.close,
    "dismiss_case": cases.dismiss,
    "pause_case": clocks.pause,
    "resume_case": clocks.resume,
    "check_step": clocks.check,
    "send_message": messages.send,
    "propose_policy": governance.propose,
    "backtest_policy": governance.backtest,
    "activate_policy": governance.activate,
    "roll_back_policy": governance.roll_back,
    "withdraw_policy": governance.withdraw,
    "record_prompt": models.record_prompt,
    "nominate_model": models.nominate,
    "report_model": models.report,
    "promote_model": models.promote,
    "roll_back_model": models.roll_back,
    "keep_sample": models.keep_sample,
    "review_sample": models.review_sample,
    "save_user": people.save,
    "delegate_authority": people.delegate,
    "end_delegation": people.end_delegation,
    "stop_agent": people.stop,
    "resume_agent": people.resume,
}


@dataclass(frozen=True)
class Result:
    """What a command did: the change of its own subject, and whatever followed from it."""

    change: Change
    beside: list[Change]
    replayed: bool = False


def execute(
    session: Session,
    command: Command,
    *,
    key: str,
    actor: str,
    now: datetime,
    case: int | None = None,
    facts: dict[str, Any] | None = None,
) -> Result:
    """Run a command once. The same key and input give the stored answer; the same key with another input is KeyReused.

    Raises NotFound, RuleViolation, IllegalTransition or Conflict; then nothing of it remains.
    """
    if isinstance(command, PlaceOrder):
        if _by_people(actor, facts):
            segregation.of_command(
                command, Context(session, key, actor, now, policies.active(session, now), case, facts or {})
            )
        asked = intake.Asked(command, key, facts or {})
        return execute_orders(session, [asked], actor=actor, now=now, case=case)[0].result()
    said = command.model_dump(mode="json")
    stored = earlier(session, key, said)
    if stored is not None:
        return Result(Change(stored.tag, stored.subject or "", stored.before, stored.after), [], replayed=True)
    context = Context(session, key, actor, now, policies.active(session, now), case, facts or {})
    if _by_people(actor, facts):
        segregation.of_command(command, context)
    change = ACTS[command.type](command, context)
    session.flush()
    write_journal(context, change, key, said, getattr(command, "case", None))
    return Result(change, context.beside)


def _by_people(actor: str, facts: dict[str, Any] | None) -> bool:
    """Channels, the clock and the core have no hands to keep apart; a preview has those of who would sign."""
    return "@" in actor or bool(facts and facts.get("signers"))


@dataclass(frozen=True)
class Verdict:
    """What became of one order of a batch."""

    placed: intake.Placed

    @property
    def problems(self) -> Sequence[Problem]:
        """Why it was not entered; empty when it was."""
        return self.placed.problems

    def result(self) -> Result:
        """What `execute` returns. Raises RuleViolation for an order that was not entered."""
        if self.placed.change is None:
            raise RuleViolation(self.placed.problems)
        return Result(self.placed.change, self.placed.beside, self.placed.replayed)


def execute_orders(
    session: Session, asked: Sequence[intake.Asked], *, actor: str, now: datetime, case: int | None = None
) -> list[Verdict]:
    """Place many orders in one go: the same rules and verdicts as one by one, each under a key of its own.

    Raises KeyReused when a key stands for another input.
    """
    placed = intake.place(session, asked, actor=actor, now=now, policy=policies.active(session, now), case=case)
    return [Verdict(one) for one in placed]
