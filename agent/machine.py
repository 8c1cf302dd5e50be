"""Machine mail that needs nobody: by headers, by who sends it, by its subject."""

from __future__ import annotations

import re

from agent.mail.parse import Parsed

SENDER = re.compile(
    r"^(?:no-?reply|do-?not-?reply|donotreply|mailer-daemon|postmaster|bounces?|notifications?|notify|alerts?|newsletter|news|marketing|feedback|survey|"
    r"scan(?:ner)?\d*|printer|copier|mfp|fax|webinars?|events?|updates?|digest|info-?mail|auto-?(?:reply|confirm|mail))(?:[+._-].*)?@",
    re.I,
)
SUBJECT = re.compile(
    r"^\s*(?:re:\s*)?(?:automatic reply|auto(?:matic)?[- ]?(?:reply|response|acknowledg\w+)|out of (?:the )?office|ooo\b|automatische antwort|abwesenheit\w*|réponse automatique|absence du bureau|"
    r"respuesta automática|fuera de (?:la )?oficina|undeliverable|delivery status notification|mail delivery|returned mail|delivery (?:delayed|failure)|read:|gelesen:|lu\s?:|leído:|"
    r"\[?ticket|your request has been received|newsletter)",
    re.I,
)
BODY = re.compile(
    r"\b(?:i am (?:currently )?out of (?:the )?office|i(?:'m| am) away|do not reply to this (?:e-?mail|message)|this (?:is an automat\w+|mailbox is not monitored|message was (?:sent|generated) automatically)|"
    r"unsubscribe|ich bin (?:derzeit )?nicht im büro|bin ich nicht erreichbar|je suis absent\w*|estoy fuera de la oficina|estaré fuera|no responda a este correo|ne pas répondre à ce)",
    re.I,
)


def is_machine(parsed: Parsed, other: float, by_header: bool) -> bool:
    """True for mail that a machine sent and that asks nothing. `other` is the model's probability of no class."""
    if parsed.headers.get("content-type", "").lower().startswith("multipart/report"):
        return True
    submitted = parsed.headers.get("auto-submitted", "no").lower()
    if by_header and (submitted != "auto-generated" or other > 0.2):
        return True
    generated = submitted.startswith("auto-") or "x-auto-response-suppress" in parsed.headers
    sends = bool(SENDER.match(parsed.sender))
    says = bool(SUBJECT.match(parsed.subject)) or bool(BODY.search(parsed.newest[:3000]))
    return (
        (generated and (says or other > 0.3))
        or (sends and (says or other > 0.25))
        or (bool(SUBJECT.match(parsed.subject)) and other > 0.15)
    )
