"""Signs in a mail that decide between actions within an intent: read by patterns here, or by a language model as the same closed set."""

from __future__ import annotations

import re
from enum import StrEnum


class Sign(StrEnum):
    """What a mail says besides what it is about."""

    WITHDRAWN = "withdrawn"
    CHANGED_INSTEAD = "changed_instead"
    CONFIRMING_COPY = "confirming_copy"
    RECALL = "recall"
    PAPERS = "papers"
    ON_ITS_WAY = "on_its_way"
    ARRIVES_SOON = "arrives_soon"
    LATE = "late"
    PAST_DUE = "past_due"
    CARRIER_TRACE = "carrier_trace"
    COUNTED = "counted"
    STATEMENT = "statement"
    COPY = "copy"
    QUESTIONED = "questioned"
    NAMES_INVOICE = "names_invoice"
    REMITTANCE = "remittance"
    HOLD_OR_TERMS = "hold_or_terms"
    ASKS_RELEASE = "asks_release"
    FORMAL_QUOTE = "formal_quote"
    BID_DEADLINE = "bid_deadline"
    REFUSES = "refuses"
    SPLIT = "split"
    SUBSTITUTE = "substitute"
    LINE_DOWN = "line_down"
    CONDITIONAL = "conditional"
    EXCEPTED = "excepted"


PATTERNS: dict[Sign, re.Pattern[str]] = {
    Sign.WITHDRAWN: re.compile(
        r"\b(?:(?:please )?(?:disregard|ignore|forget) (?:my|our|the|that|this|yesterday'?s?) (?:last |previous |earlier )?(?:e-?mail|message|cancellation|change|request|note)|don'?t cancel(?: after all| it)?|do not cancel|"
        r"(?:leave|keep) (?:it|the order|everything|po\S*|\S*\d\S*) as (?:it )?(?:is|was)|never ?mind|false alarm|changed (?:my|our) minds?|no change (?:needed|after all)|after all)\b",
        re.I,
    ),
    Sign.CONFIRMING_COPY: re.compile(
        r"\b(?:confirm(?:ing|ation) (?:copy|only|of (?:phone|verbal))|do not (?:duplicate|re-?enter)|already (?:entered|placed|in your system)|for your (?:records|file) only|duplicate copy)\b",
        re.I,
    ),
    Sign.RECALL: re.compile(
        r"\b(?:recall\w*|stop[- ]sale|quarantine|safety (?:notice|alert)|do not (?:use|sell)|retir(?:o|ada) de producto|rappel de produit|rückruf\w*)\b",
        re.I,
    ),
    Sign.PAPERS: re.compile(
        r"\b(?:certificates?|sds|safety data sheets?|conflict minerals|reach|rohs|prop(?:osition)? 65|w-?9|insurance|country of origin|certificado\w*|attestation|zertifikat\w*)\b",
        re.I,
    ),
    Sign.ON_ITS_WAY: re.compile(
        r"\b(?:dock (?:appointment|appt|time|door)|appointment|asn|advance ship\w*|ship(?:ping)? notice|on (?:its|the) way|with our driver|arriv\w+ (?:tomorrow|today|on|thursday|friday|monday|tuesday|wednesday)|delivery window|unload\w*|packing list attached|"
        r"has (?:been )?shipped|have shipped|shipped (?:today|yesterday|complete)|left (?:our|the) (?:plant|dock|warehouse)|in transit|bol\b|cita de entrega|rendez-vous|avisierung|anlieferung|versandanzeige)\b",
        re.I,
    ),
    Sign.LATE: re.compile(
        r"\b(?:delay\w*|late\b|slip\w*|push\w* (?:back|out)|postpon\w*|unable to (?:ship|meet)|cannot (?:ship|meet)|will not (?:ship|make)|verzög\w*|verzug|retras\w*|demora\w*|retard\w*|behind|force majeure|backorder\w*|new (?:ship|delivery|eta)|revised (?:ship|date|eta))\b",
        re.I,
    ),
    Sign.CARRIER_TRACE: re.compile(
        r"\b(?:says?|shows?|marked|showing|lists?|according to|tracking|left at|signed)\b[^.\n]{0,60}\b(?:delivered|left at|signed)|\bnever (?:arrived|showed|got here|came)\b|\bmis-?deliver\w*\b|\bwrong (?:address|location|building|dock|door|company)\b|"
        r"\bdelivered to (?:the )?(?:wrong|another|someone)|\bproof of delivery\b|\bentregad\w+[^.\n]{0,40}\b(?:no|nunca)\b|\blivré\w*[^.\n]{0,40}\b(?:pas|jamais)\b",
        re.I,
    ),
    Sign.COUNTED: re.compile(r"\b(?:short|missing|damaged|instead of|ordered|received|counted)\b", re.I),
    Sign.STATEMENT: re.compile(
        r"\b(?:statements?|aging|estado de cuenta|relevé de compte|kontoauszug|open items?)\b", re.I
    ),
    Sign.COPY: re.compile(
        r"\b(?:cop(?:y|ies)|re-?send|send (?:me|us)|e-?mail (?:me|us)|never (?:received|got)|haven'?t (?:received|gotten|seen)|don'?t have|need (?:the|a|an|all|these)? ?invoices?|did not (?:receive|get)|missing invoices?|nothing from you|copia|reenv\w+|duplicado|copie|renvoy\w+|faire parvenir|transmettre|kopie|zusenden|schicken)\b",
        re.I,
    ),
    Sign.QUESTIONED: re.compile(
        r"\b(?:wrong|error|incorrect|should|duplicate|twice|double|tax|exempt\w*|mismatch|does(?:n'?t| not) match|credit memo|dispute|reissue|correct\w*|rebill|freight|charged|erreur|taxe|falsch|impuesto|error)\b",
        re.I,
    ),
    Sign.REMITTANCE: re.compile(
        r"\b(?:remittance|remit advice|payment (?:of|for|advice|sent|was|has been|in the amount)|we (?:have )?paid|wired?|ach (?:of|for|payment|sent)|check (?:no|number|#)|check #?\d+|has been (?:paid|wired|sent)|pagamos|transferencia|virement|avis de paiement|überwiesen|zahlungsavis)\b",
        re.I,
    ),
    Sign.HOLD_OR_TERMS: re.compile(
        r"\b(?:on hold|credit hold|credit review|release|limit|terms|extension|payment plan|retenid\w+|bloqu\w+|gesperrt|kreditlimit)\b",
        re.I,
    ),
    Sign.FORMAL_QUOTE: re.compile(
        r"\b(?:rfq|request for quot\w*|formal quot\w*|quotation|bid|price breaks?|volume pric\w*|tender|at \d+,? (?:at|and) \d+|licitación|appel d'offres|ausschreibung|staffelpreis\w*)\b",
        re.I,
    ),
    Sign.REFUSES: re.compile(
        r"\b(?:no\b(?! problem| issue| rush)|not (?:acceptable|accept\w*|interested|ok|okay|going to work|what|suitable)|won'?t (?:work|do|fit|take)|don'?t (?:want|send|sub\w*|ship the)|cannot (?:use|accept)|can'?t (?:use|accept)|decline\w*|reject\w*|pass on|refuse|rather wait|we'?ll wait|wait for the (?:original|real|ordered)|"
        r"keep (?:it |them |the \w+ )?on back-?order|back-?order (?:it|them)|stick with|no (?:aceptamos|nos sirve|gracias|queremos)|preferimos esperar|non merci|nous (?:refusons|préférons attendre)|n'accept\w+|ne convient pas|nein|nicht (?:akzept\w+|geeignet|in ordnung)|lieber warten|ablehnen|lehnen)\b",
        re.I,
    ),
    Sign.SPLIT: re.compile(
        r"\b(?:split (?:it|the)|ship what you have|ship (?:the|what)[^.\n]{0,40}(?:now|today)|partial (?:is|ship)|in two|rest (?:later|when)|back-?order the|embarquen lo|expédi\w+ ce qui|teillieferung)\b",
        re.I,
    ),
    Sign.LINE_DOWN: re.compile(
        r"\b(?:line (?:is )?down|shut ?down|plant (?:is )?down|(?:machine|pump|press|boiler|chiller) (?:is )?down|emergency|no (?:heat|water|power)|critical|standing (?:around|idle)|crew (?:is )?idle|línea parada|paro de línea|ligne (?:est )?arrêtée|produktion steht|stillstand)\b",
        re.I,
    ),
    Sign.CONDITIONAL: re.compile(
        r"\b(?:only if|but only when|provided(?: that)?|unless|on (?:the )?condition|as long as (?:you|the price|it)|if (?:you can(?:'?t|not)|not),? (?:then )?(?:cancel|leave|keep|forget|drop)|"
        r"s[óo]lo si|siempre que|a menos que|de lo contrario|seulement si|à condition|sauf si|sinon|nur (?:wenn|falls)|sofern|andernfalls)\b",
        re.I,
    ),
    Sign.EXCEPTED: re.compile(
        r"\b(?:except(?:ing|ed|ion)?|excluding|(?:all|everything) but|apart from|other than|salvo|excepto|a excepción|sauf|à l'exception|excepté|au(?:ß|ss)er|ausgenommen|bis auf)\b",
        re.I,
    ),
    Sign.CHANGED_INSTEAD: re.compile(r"\b(?:instead|rather|change|make it|add)\b", re.I),
    Sign.ARRIVES_SOON: re.compile(r"\b(?:today|tomorrow|morgen|mañana|demain)\b", re.I),
    Sign.PAST_DUE: re.compile(r"past due|overdue|final|second notice|mahnung|hold", re.I),
    Sign.NAMES_INVOICE: re.compile(r"inv\w*[- #]*\d", re.I),
    Sign.ASKS_RELEASE: re.compile(r"\b(?:on hold|credit hold|credit review|release|payment plan|limit)\b", re.I),
    Sign.SUBSTITUTE: re.compile(r"\b(?:substitut\w*|alternat\w*)\b", re.I),
}
BY_DAY = re.compile(r"\b(?:due|clos\w+|by|no later)\b", re.I)
BID = re.compile(r"\brfq|quotation|bid|tender\b", re.I)


def signs_of(text: str) -> frozenset[Sign]:
    """The signs that a mail's own words show."""
    found = {sign for sign, pattern in PATTERNS.items() if pattern.search(text)}
    if BY_DAY.search(text) and BID.search(text):
        found.add(Sign.BID_DEADLINE)
    return frozenset(found)
