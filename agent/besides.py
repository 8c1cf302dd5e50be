"""What a mail asks besides what it is about: told by rules where nobody but our own models reads it, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from agent import replies
from agent.alternatives import Option, handed_over, opened_by
from agent.choosing import Choice
from agent.draft import Draft
from agent.signs import PATTERNS, Sign
from erp_core.commands import MOST_COMMANDS, OpenCase, RouteCase, SendMessage
from erp_core.values import Action, Intent, kind_words
from prompts.replies import phrase
from tools import world

CREDIT = re.compile(
    r"\b(?:credit (?:memo|note|us|our|it|these|those|back|the (?:difference|amount|missing|rest|invoice|\d+))|(?:issue|need|expect|request|want) (?:an? |full |partial )*credit|credited|deduct(?:ed|ion)?|"
    r"corrected invoice|(?:adjust|correct|fix) (?:the |our |your )?(?:invoice|bill|billing)|nota de crédito|abonos?|abonar\w*|un avoir|note d['’]avoir|note de crédit|gutschrift\w*)\b(?! items?)",
    re.I,
)
BACK = re.compile(
    r"\b(?:pick(?:ed)? (?:it|them|those|these|the \w+) (?:\w+ )?up|picked up|(?:arrange|schedule|need) (?:an? |the )?pick-?up|pick up the|collect (?:it|them|the)|"
    r"(?:send|ship|take|sent|shipped|taken) (?:(?:it|them|those|these|the \w+) )back|return (?:label|authori[sz]ation|number|them|it|tag)|rma|"
    r"recoger|recojan|recogida|devolver\w*|devolución|reprendre|retourner|abhol\w+|zurück(?:nehmen|schicken|senden|geben))\b",
    re.I,
)
INVOICE = re.compile(r"\b(?:invoices?|facturas?|factures?|rechnung\w*)\b", re.I)
SENTENCES = re.compile(r"[.!?]+\s|\n\s*\n")


def asked(intent: str, own_words: str, signs: frozenset[Sign]) -> list[str]:
    """Intents that the sender's own words ask for besides the main one. Few are told by words alone; a language model reads more of them."""
    found = []
    if intent == Intent.DELIVERY_DISCREPANCY:
        if CREDIT.search(own_words):
            found.append(Intent.INVOICE_QUERY.value)
        if BACK.search(own_words):
            found.append(Intent.RETURN_REQUEST.value)
    elif intent in (Intent.ORDER_STATUS, Intent.ORDER_CHANGE) and Sign.COPY in signs:
        told = SENTENCES.split(own_words)
        if any(INVOICE.search(one) and PATTERNS[Sign.COPY].search(one) for one in told):
            found.append(Intent.INVOICE_QUERY.value)
    return found


# letters of these commands tell how the order stands then, and of these actions how it stands now
TELLS_THEN, TELLS = ("amend_order",), (Action.ANSWER_STATUS, Action.EXPEDITE_ORDER)


def settle(draft: Draft, desk_of: Callable[[str], Choice]) -> None:
    """Answer in the letter what else is asked and our records answer; what is left is said, and gets a case of its own.

    `desk_of` says who owns a matter of another intent.
    """
    asked_too = [intent for intent in draft.read["secondary"] if not _moot(draft, intent)]
    left = [intent for intent in asked_too if not _answered(draft, intent)]
    if left:
        _pass_on(draft, ", ".join(kind_words(intent) for intent in left), desk_of(left[0]))
    others = draft.read.get("other_orders", [])
    told = {order["number"] for order in draft.gathered.get("others", [])}
    silent = [number for number in others if number not in told]
    if silent:
        names = ", ".join(silent[:5])
        them = "them" if len(silent) > 1 else "it"
        draft.say(f"It names {names} too {draft.evidence.cite('check', names)}; nothing is proposed for {them}.")


def left_by(chosen: Option, rest: str) -> list[str]:
    """What signing the way that is proposed does with the rest, in words."""
    if not rest or handed_over(chosen):
        return []
    opened = opened_by(chosen)
    return [
        f"Signing this opens a case for {kind_words(opened.queue)}." if opened else f"Signing this leaves open: {rest}."
    ]


OF_THE_ORDER = (Intent.ORDER_CHANGE, Intent.ORDER_STATUS, Intent.EXPEDITE_REQUEST, Intent.SUBSTITUTION_RESPONSE)


def _moot(draft: Draft, intent: str) -> bool:
    """Of an order that is cancelled whole nothing else is wanted; of another one it may be."""
    cancelled = any(c.type == "cancel_order" for c in draft.commands)
    return cancelled and intent in OF_THE_ORDER and not draft.read.get("other_orders")


def _answered(draft: Draft, intent: str) -> bool:
    letter = _letter(draft)
    if letter is None:
        return False
    if intent == Intent.ORDER_STATUS and draft.order is not None:
        kinds = {c.type for c in draft.commands}
        if "substitute_item" in kinds:
            return False  # how it stands now is not how it stands then
        if draft.choice.action not in TELLS and not kinds & {*TELLS_THEN}:
            lines = replies.status_lines(draft.order, draft.language, draft.gathered["today"])
            _add(draft, letter, replies.with_more(letter.body, phrase("also_status", draft.language), lines))
            for line in lines:
                draft.evidence.cite(f"order {draft.order['number']}", line)
        draft.say("It also asks where the order stands; the letter tells it.")
        return True
    invoices = draft.gathered.get("invoices", [])
    signs = draft.read["signs"]
    if intent == Intent.INVOICE_QUERY and invoices and Sign.COPY in signs and Sign.QUESTIONED not in signs:
        lines = [replies.invoice_line(i, draft.language) for i in invoices[:20]]
        body = replies.with_more(letter.body, phrase("also_invoice", draft.language), lines)
        numbers = [*letter.invoices, *(i["number"] for i in invoices[:20])]
        _add(draft, letter, body, invoices=list(dict.fromkeys(numbers)))
        for invoice, line in zip(invoices[:20], lines, strict=True):
            draft.evidence.cite(f"invoice {invoice['number']}", line)
        draft.say("It also asks for an invoice; the copy goes with the letter.")
        return True
    return False


def _add(draft: Draft, letter: SendMessage, body: str, **changed: object) -> None:
    draft.commands[draft.commands.index(letter)] = letter.model_copy(update={"body": body, **changed})


def _pass_on(draft: Draft, words: str, desk: Choice) -> None:
    """A case for what no command settles; who is handed the mail itself, or owns the rest too, reads it there."""
    opened = world.case_of_rest(draft.case)
    if opened is not None:
        draft.say(
            f"It also asks about {words}; case {opened} was opened for it {draft.evidence.cite('case', f'Case {opened}')}."
        )
        return
    handed = [c for c in draft.commands if isinstance(c, RouteCase)]
    if any(c.matter.kind == "hand_over" or c.queue == desk.queue for c in handed):
        draft.say(f"It also asks about {words}.")
        return
    if not draft.commands or len(draft.commands) == MOST_COMMANDS:
        draft.say(f"It also asks about {words}; signing this leaves that open.")
        return
    draft.say(f"It also asks about {words}.")
    draft.rest = words
    draft.ways.append(Option("Without a case for the rest", list(draft.commands), "runs as it stands"))
    letter = _letter(draft)
    if letter is not None:
        _add(draft, letter, replies.with_more(letter.body, phrase("also_passed", draft.language), []))
    draft.add(_case_for(draft, words, desk))


def _letter(draft: Draft) -> SendMessage | None:
    return next((c for c in draft.commands if isinstance(c, SendMessage) and c.to == draft.read["sender"]), None)


def _case_for(draft: Draft, words: str, desk: Choice) -> OpenCase:
    title = f"Case {draft.case} also asks about {words}"
    return OpenCase(
        kind="also_asked",
        subject=f"case:{draft.case}",
        title=title,
        queue=desk.queue,
        priority=desk.priority,
        customer=draft.read["customer"],
        order=draft.read["order"],
        details={"problems": [title], "asked_in": draft.case},
    )
