"""Mail text as the models read it: the sender's own words, numbers masked."""

from __future__ import annotations

import re

CLOSINGS = re.compile(
    r"^\W*(?:thanks?(?: you)?(?: so much| very much| kindly| in advance| again| a lot| much)?|thx|ty|tks|many thanks|"
    r"(?:all the )?best(?: regards| wishes)?|(?:kind(?:est)?|warm(?:est)?|with) regards|regards|cheers|sincerely|respectfully|"
    r"cordially|yours(?: truly| sincerely)?|gracias(?: de antemano| y saludos)?|muchas gracias|saludos(?: cordiales)?|un saludo|"
    r"quedo (?:atent[oa]|al pendiente)|atentamente|atte|(?:bien )?cordialement|bien à vous|merci(?: beaucoup| d'avance| bien)?|"
    r"salutations(?: distinguées)?|mit freundlichen gr(?:ü|ue)(?:ß|ss)en|mfg|(?:freundliche|viele|beste|liebe) gr(?:ü|ue)(?:ß|ss)e|"
    r"vielen dank|besten dank|danke|gruß|gruss|lg|vg|sent from my .*|get outlook for .*|enviado desde mi .*|envoyé de mon .*|"
    r"von meinem .* gesendet)\W*(?:[A-ZÀ-Ý][\w.'-]+\W*){0,3}$",
    re.I,
)
LEGAL = re.compile(
    r"confidential|intended (?:only|solely|exclusively)|intended recipient|public record|open records|terms and conditions|"
    r"consider the environment|virus|sitz der gesellschaft|amtsgericht|geschäftsführer|vertraulich|destin(?:é|ata)|confidencial|"
    r"unauthori[sz]ed|aviso legal|privileged|ust-id|registergericht|disclos",
    re.I,
)
LEGAL_HEAD = re.compile(r"^\s*(?:notice|avis\b.*|disclaimer|confidentiality.*|aviso.*)\s*:", re.I)
POSTSCRIPT = re.compile(r"\s*p\.?\s?s\.?\b", re.I)
LONGEST_SIGNATURE = 900


def own_words(text: str, sender_name: str = "") -> str:
    """The text without legal notices and without the signature; a postscript stays."""
    lines = [line.rstrip() for line in text.split("\n")]
    lines = [x for x in lines if not (len(x) > 90 and LEGAL.search(x)) and not LEGAL_HEAD.match(x)]
    for position, line in enumerate(lines):
        if position and any(x.strip() for x in lines[:position]) and _closes(line.strip(), sender_name):
            rest = [x for x in lines[position + 1 :] if x.strip()]
            if len(rest) <= 14 and sum(map(len, rest)) < LONGEST_SIGNATURE:
                return "\n".join([*lines[:position], *(x for x in rest if POSTSCRIPT.match(x))]).strip()
    return "\n".join(lines).strip()


def _closes(line: str, name: str) -> bool:
    if line == "--" or (len(line) < 60 and CLOSINGS.match(line)):
        return True
    bare = line.lower().strip(" ,.-")
    first = name.split()[0].lower() if name.split() else None
    return bool(name) and (bare == first or (bare.startswith(name.lower()) and len(line) < 50))


MASKS = [
    (re.compile(r"\S+@\S+"), " emailaddr "),
    (re.compile(r"\b(so|po|inv|sh|pro)[-# ]?\d[\d-]*\b"), r" \1num "),
    (re.compile(r"\b1z\w+\b"), " trknum "),
    (re.compile(r"\b[a-z]{2,4}-\d{3,5}\b"), " skunum "),
    (re.compile(r"[$€£]\s?[\d,.]+|\b[\d,.]+\s?(?:usd|cad|eur|dollars?)\b"), " moneynum "),
    (re.compile(r"\d[\d,.\-/]*"), " 0 "),
]


def normal(subject: str, body: str) -> str:
    """Lower case, numbers masked; the subject counts twice because it is short and says much."""
    text = f"{subject} \n {subject} \n {body}".lower()[:5000]
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)
    return text
