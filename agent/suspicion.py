"""What is odd about a mail. Marks are findings for people; the strong ones make a security case of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rapidfuzz.distance import DamerauLevenshtein

from agent.mail.parse import Parsed
from erp_core.queries.references import FREE_MAIL, Sender

_READER = (
    r"(?:a\.?i\.?\b(?:[- ](?:assistant|agent|system|model|reader|tool|bot|order[- ]entry|triage))?|assistant|chat ?bot|\bbot\b|language model|llm|gpt|copilot|"
    r"(?:automated|automatic|order[- ]entry) (?:system|agent|assistant|reader|processing|tool)|virtual (?:agent|assistant)|ordering agent|mail agent|triage (?:agent|system)|"
    r"asistente(?: de ia)?|inteligencia artificial|\bia\b|assistant ia|intelligence artificielle|ki[- ](?:assistent\w*|system|agent)|\bki\b|künstliche intelligenz|sprachmodell)"
)
_ORDER = (
    r"(?:ignore|disregard|override|bypass|skip|approve|release|waive|set|change|update|issue|mark|treat|reply|respond|confirm|do not|don't|must|should|execute|send|add|give|quote|"
    r"close|credit|refund|redirect|forward|ship|apply|raise|pay|classify|route|sell|grant|accept|record|list|"
    r"ignora\w*|aprueb\w*|aprobar|libera\w*|omit\w*|confirm\w*|ignore[rz]?|approuve[rz]?|libère\w*|ignorier\w*|genehmig\w*|freigeb\w*|gib|setze?)"
)
INJECTION = [
    re.compile(rf"(?:^|[.!?:;,\n(\[<*#-])\s*(?:note|notes?|instruction\w*|message|attention|important|directive|system|dear|hello|hey|to|for|para|pour|für|an|nota|hinweis)[\w ,'’]{{0,25}}?(?:to|for|a|al|à|l['’]|die|the|any|das|den|dem|your|our|this|el|\s)*\s*{_READER}\b[^.\n]{{0,60}}[:,.;-]", re.I),
    re.compile(rf"\b{_READER}\s*[:,;-]\s*(?:please\s+)?{_ORDER}\b", re.I),
    re.compile(rf"\b(?:if you(?:['’]re| are) (?:an?|the) |any ){_READER}\b", re.I),
    re.compile(rf"\b{_READER}[^.\n]{{0,80}}\b(?:must|should|shall|has to|is (?:instructed|authorized|required) to|needs to|will now|debe|doit|muss|soll)\b[^.\n]{{0,60}}{_ORDER}", re.I),
    re.compile(r"\b(?:ignore|disregard|forget|override)\b[^.\n]{0,30}\b(?:previous|prior|above|earlier|all|your|existing)\b[^.\n]{0,20}\b(?:instructions?|rules?|prompts?|polic(?:y|ies)|guidelines|guardrails|safeguards)\b", re.I),
    re.compile(r"\b(?:ignora\w*|olvida\w*|ignore[rz]?|oublie[rz]?|ignorier\w*|vergiss)\b[^.\n]{0,40}\b(?:instruc\w+|consignes?|anweisungen|reglas|règles|regeln)\b", re.I),
    re.compile(r"\b(?:system|developer) (?:prompt|message|override|instruction)s?\b|\[\s*(?:system|inst|assistant|admin)\s*\]|<\s*/?\s*(?:system|instructions?|assistant|prompt)\b|###\s*(?:system|instruction)", re.I),
    re.compile(r"\b(?:skip|bypass|without|no|disable|suppress|omit)\b[^.\n]{0,30}\b(?:human|manual|reviewer'?s?) (?:review|confirmation|approval|check|intervention|sign-?off)\b", re.I),
    re.compile(r"\bdo not (?:mention|list|show|tell|flag|disclose|surface|include)\b[^.\n]{0,50}\b(?:reviewer|human|supervisor|summary|as a change|this (?:note|instruction|line)|change)\b", re.I),
    re.compile(r"\b(?:pre-?approved|approval (?:already )?(?:granted|recorded))\b[^.\n]{0,60}\b(?:system|automat\w+|agent|no (?:further|review))\b", re.I),
    re.compile(rf"\b(?:for|to) (?:whoever or whatever|automated (?:processing|readers|systems))\b|\b(?:set|override)\b[^.\n]{{0,40}}\bunit prices?\b[^.\n]{{0,40}}\b(?:cost|0\.0\d|zero|1\.00)\b|\b(?:role ?play|pretend|act) as\b[^.\n]{{0,40}}{_READER}", re.I),
    re.compile(rf"\b{_READER}\b[^.\n]{{0,30}}\b(?:policy|policies|instructions?|directives?|rules?|guidelines?)\b[^.\n]{{0,80}}(?::|\b(?:must|shall|add|approve|apply|override)\b)", re.I),
    re.compile(r"\b(?:must|should|do) not be (?:quoted|shown|mentioned|disclosed|displayed) to (?:the |any )?(?:user|reviewer|human|operator|person)\b", re.I),
]  # fmt: skip
COMMANDING = re.compile(rf"\b(?:you (?:are|must|will|should)|please)?\s*{_ORDER}\b", re.I)
GIFT_CARD = re.compile(
    r"\bgift ?cards?\b|\btarjetas? de regalo\b|\bcartes?[- ]cadeaux?\b|\bgutscheinkarten?\b|\b(?:itunes|google play|apple) cards?\b",
    re.I,
)
BANK = re.compile(
    r"\b(?:new|changed?|changing|updated?|switch\w*|replac\w+|moved?)\b[^.\n]{0,50}\b(?:bank(?:ing)?|remit(?:tance)?[- ]?to|account (?:number|details)|iban|routing|wire (?:details|instructions)|ach|lockbox)\b"
    r"|\b(?:bank(?:ing)?|remit(?:tance)?|wire|ach|payment) (?:details|information|instructions|account|data)\b[^.\n]{0,50}\b(?:chang\w+|new|updat\w+|replac\w+|below|attached|no longer)\b"
    r"|\b(?:nuev[oa]s?|cambi\w+)\b[^.\n]{0,40}\b(?:cuenta|banc\w+|clabe)\b|\b(?:nouve\w+|chang\w+)\b[^.\n]{0,40}\b(?:coordonnées bancaires|rib|iban|compte)\b|\bneue\w*\b[^.\n]{0,40}\b(?:bankverbindung|konto\w*|iban)\b",
    re.I,
)
PAY_NOW = re.compile(
    r"\b(?:pay|wire|transfer|payment|settle|remit)\b[^.\n]{0,80}\b(?:today|immediately|urgent\w*|right away|within (?:the )?(?:hour|24|48)|before (?:noon|close)|asap)\b",
    re.I,
)
SECRET = re.compile(
    r"\b(?:keep this (?:between us|confidential|quiet)|don'?t (?:call|phone|tell)|do not (?:call|phone|contact|tell)|in a meeting|can'?t (?:talk|take calls)|discreet\w*|no need to (?:call|verify)|no call ?backs?)\b",
    re.I,
)
OTHERS_DATA = re.compile(
    r"\b(?:all|other|every|entire|full|complete|each|your|whole)\b[^.\n]{0,40}\bcustomers?['’]?s?\b[^.\n]{0,40}\b(?:list|file|names?|prices?|pricing|orders?|contacts?|emails?|addresses|receivables|balances|records|data(?:base)?|history|accounts?|terms)\b"
    r"|\b(?:list|export|dump|spreadsheet|csv|copy|file) of (?:all |your |every )?(?:customers?|accounts?|users?|contacts|logins?|passwords?)\b|\bcustomer (?:list|file|master|database)\b"
    r"|\b(?:prices?|price (?:sheets?|lists?)|terms|discounts?|rates?) (?:of|for|that)\b[^.\n]{0,30}\b(?:competitors?|other (?:customers|buyers|accounts|firms|contractors|distributors)|your other)\b|\bwhat (?:are|is|do|does)\b[^.\n]{3,80}\b(?:paying|pay)\b[^.\n]{0,40}\bfor\b"
    r"|\b(?:who else|which (?:other )?(?:customers|companies|contractors)|what other customers)\b[^.\n]{0,40}\b(?:buy\w*|order\w*|pay\w*|use)\b"
    r"|\b(?:lista|base) de (?:datos de )?(?:todos (?:los|sus) )?clientes\b|\bprecios (?:de|que)\b[^.\n]{0,30}\b(?:otros clientes|competencia)\b|\b(?:liste|fichier) (?:de (?:tous )?(?:vos|les) )?clients\b|\bprix\b[^.\n]{0,30}\b(?:autres clients|concurrents?)\b|\bkundenliste\b|\bpreise\b[^.\n]{0,30}\b(?:anderer|andere) kunden\b",
    re.I,
)
ARCHIVE_PASSWORD = re.compile(
    r"\b(?:password|passwort|contraseña|clave|mot de passe|kennwort)\b[^.\n]{0,40}(?:\bis\b|:|\bes\b|\best\b|\blautet\b|=)?\s*\S+",
    re.I,
)
DISABLE = re.compile(
    r"\b(?:enable (?:macros?|content|editing)|disable (?:the |your )?(?:anti-?virus|protection|defender|security)|turn off (?:the |your )?(?:anti-?virus|protection)|habilit\w+ (?:las )?macros|activ\w+ les macros|makros aktivieren)\b",
    re.I,
)
SIGN_IN = re.compile(
    r"\b(?:sign|log) ?in\b[^.\n]{0,60}\b(?:view|download|open|see|access|unlock|keep|verify|restore)\b|\b(?:verify|confirm|validate|re-?activate) your (?:account|password|mailbox|credentials|e-?mail)\b|\bmailbox (?:is )?(?:full|quota|will be)\b|\bscan (?:the |this )?qr\b|\bsecure (?:document|form|file|message)\b[^.\n]{0,60}\b(?:sign|log|password|credential)\b|\bsign in with your\b",
    re.I,
)
RISKY_FILE = re.compile(r"\.(?:exe|scr|js|vbs|jar|bat|cmd|ps1|lnk|iso|img|hta|docm|xlsm|pptm|msi|html?|svg)$", re.I)
SHIP_NEW = re.compile(
    r"\b(?:new|different|another|alternate) (?:ship|delivery)[- ]?(?:to|address)?\b|\bship (?:to|it to) (?:a |our )?(?:new|temporary)\b",
    re.I,
)

STRONG = frozenset(
    {
        "prompt_injection",
        "hidden_text",
        "lookalike_domain",
        "spoofed_sender",
        "impersonation",
        "payment_fraud",
        "gift_card",
        "data_exfiltration",
        "credential_form",
        "encrypted_archive",
        "dangerous_file",
    }
)


@dataclass(frozen=True)
class Mark:
    """One odd thing: its name, the words that show it, and the part they stand in."""

    name: str
    text: str
    part: str

    @property
    def strong(self) -> bool:
        return self.name in STRONG


def content(parsed: Parsed, sender: Sender, domains: Mapping[str, str], hostile: float) -> list[Mark]:
    """Marks of what the mail says. `hostile` is the local model's opinion, which only ever supports other signs."""
    own = f"{parsed.subject}\n{parsed.newest}\n{parsed.forwarded}"
    return [*_injections(parsed, own), *_wishes(parsed, own, sender, domains, hostile), *_files(parsed, own)]


def is_hostile(found: list[Mark]) -> bool:
    """One strong mark suffices."""
    return any(mark.strong for mark in found)


def _injections(parsed: Parsed, own: str) -> list[Mark]:
    found = []
    parts = [
        ("newest", own),
        ("quoted", parsed.quoted),
        *((f"attachment {a.name}", a.text) for a in parsed.attachments),
    ]
    for part, text in parts:
        hit = _injection(text)
        if hit:
            found.append(Mark("prompt_injection", hit, part))
    for text in parsed.hidden:
        hit = _injection(text)
        if hit or (len(text.split()) > 4 and COMMANDING.search(text) and not _harmless_hidden(text)):
            found.append(Mark("hidden_text", text[:300], "hidden"))
    if parsed.plain_only and (_injection(parsed.plain_only) or COMMANDING.search(parsed.plain_only)):
        found.append(Mark("hidden_text", parsed.plain_only[:300], "plain text that the HTML lacks"))
    return found


def _injection(text: str) -> str | None:
    for wanted in INJECTION:
        hit = wanted.search(text)
        if hit:
            start = max(0, text.rfind("\n", 0, hit.start() + 1))
            return text[start : hit.end() + 120].strip()[:300]
    return None


def _harmless_hidden(text: str) -> bool:
    """Preheaders and the like: an invitation to read, no order to a reader."""
    return not re.search(
        r"\b(?:approv|credit|refund|price|cost|release|hold|invoice|discount|pay|ship|bank|policy|confirm|waive)",
        text,
        re.I,
    )


def envelope(parsed: Parsed, sender: Sender, domains: Mapping[str, str], colleagues: Mapping[str, str]) -> list[Mark]:
    """Marks of who sends it: authentication, domains that look like another, replies that go elsewhere."""
    found = []
    domain = parsed.sender.rpartition("@")[2]
    if parsed.authentication.get("dmarc") == "fail" or (
        parsed.authentication.get("spf") == "fail" and parsed.authentication.get("dkim") in ("fail", "none")
    ):
        known = sender.customer or sender.supplier
        found.append(
            Mark("spoofed_sender" if known else "unauthenticated", f"authentication of {domain} failed", "headers")
        )
    twin = _twin(domain, domains)
    if twin:
        found.append(Mark("lookalike_domain", f"{domain} looks like {twin}", "headers"))
    reply = parsed.reply_to.rpartition("@")[2]
    if reply and reply != domain and not reply.endswith(f".{domain}") and not domain.endswith(f".{reply}"):
        found.append(Mark("reply_elsewhere", f"replies go to {parsed.reply_to}", "headers"))
    ours = {email.rpartition("@")[2] for email in colleagues.values()}
    names = {name.lower() for name in colleagues}
    if domain not in ours and (
        parsed.sender_name.lower() in names or any(o in parsed.sender_name.lower() for o in ours)
    ):
        found.append(Mark("impersonation", f"{parsed.sender_name} writes from {domain}", "headers"))
    return found


def _twin(domain: str, domains: Mapping[str, str]) -> str | None:
    """A known domain that this one could be mistaken for."""
    if not domain or domain in domains or domain in FREE_MAIL:
        return None
    bare = _folded(domain)
    for known in domains:
        if len(known) < 8:
            continue
        if _folded(known) == bare or known.replace("-", "") == domain.replace("-", ""):
            return known
        first, other = known.partition(".")[0], domain.partition(".")[0]
        close = DamerauLevenshtein.distance(first, other, score_cutoff=2)
        same_suffix = known.partition(".")[2] == domain.partition(".")[2]
        if (
            len(first) >= 8
            and not (first[-1].isdigit() and other[-1].isdigit())
            and (close <= 1 or (close == 2 and len(first) >= 14 and same_suffix))
        ):
            return known
        if (
            len(other) >= 10
            and first != other
            and (
                first.startswith(f"{other}-")
                or other.startswith(f"{first}-")
                or other in (f"{first}s", f"{first}usa", f"{first}corp")
            )
        ):
            return known
    return None


def _folded(domain: str) -> str:
    """Letters that look alike become one."""
    table = str.maketrans({"1": "l", "i": "l", "0": "o", "5": "s", "3": "e", "-": "", "_": ""})
    return domain.translate(table).replace("rn", "m").replace("vv", "w")


def _wishes(parsed: Parsed, own: str, sender: Sender, domains: Mapping[str, str], hostile: float) -> list[Mark]:
    found = []
    stranger = not (sender.customer or sender.supplier)
    domain = parsed.sender.rpartition("@")[2]
    elsewhere = bool(parsed.reply_to) and parsed.reply_to.rpartition("@")[2] != domain
    failed = parsed.authentication.get("dmarc") == "fail" or parsed.authentication.get("spf") == "fail"
    if hit := GIFT_CARD.search(own):
        found.append(Mark("gift_card", hit.group(), "newest"))
    bank = BANK.search(own) or next((h for a in parsed.attachments if (h := BANK.search(a.text))), None)
    if bank and (stranger or elsewhere or failed or SECRET.search(own) or (hostile > 0.9 and PAY_NOW.search(own))):
        found.append(Mark("payment_fraud", bank.group(), "newest"))
    elif bank:
        found.append(Mark("bank_change", bank.group(), "newest"))
    if PAY_NOW.search(own) and stranger and (SECRET.search(own) or hostile > 0.8):
        found.append(Mark("payment_fraud", PAY_NOW.search(own).group(), "newest"))  # type: ignore[union-attr]
    if said := _others_data(own, domains, sender):
        found.append(Mark("data_exfiltration", said, "newest"))
    if stranger and SHIP_NEW.search(own) and hostile > 0.7:
        found.append(Mark("impersonation", SHIP_NEW.search(own).group(), "newest"))  # type: ignore[union-attr]
    if hostile > 0.93:
        found.append(Mark("sounds_hostile", "the local model finds the wording hostile", "newest"))
    return found


def _others_data(own: str, domains: Mapping[str, str], sender: Sender) -> str | None:
    hit = OTHERS_DATA.search(own)
    if hit and not re.search(r"\bour (?:own )?(?:customers?|price|account|order)", hit.group(), re.I):
        return hit.group()
    named = [name for name in domains.values() if len(name) > 6 and name.lower() in own.lower()]
    if (
        len(named) >= 2
        and re.search(r"\b(?:pay(?:ing)?|prices?|price sheets?|discounts?|terms|orders?)\b", own, re.I)
        and re.search(r"\b(?:what|screenshot|send|share|tell)\b", own, re.I)
    ):
        return ", ".join(named[:3])
    return None


def _files(parsed: Parsed, own: str) -> list[Mark]:
    found = []
    asks_password = ARCHIVE_PASSWORD.search(own)
    for attachment in parsed.attachments:
        if attachment.password_form:
            found.append(
                Mark("credential_form", f"{attachment.name} asks for a password", f"attachment {attachment.name}")
            )
        if attachment.name.lower().endswith((".zip", ".rar", ".7z")) and (
            attachment.encrypted or asks_password or attachment.problem
        ):
            found.append(Mark("encrypted_archive", attachment.name, f"attachment {attachment.name}"))
        elif RISKY_FILE.search(attachment.name) and not attachment.name.lower().endswith((".html", ".htm", ".svg")):
            found.append(Mark("dangerous_file", attachment.name, f"attachment {attachment.name}"))
    if parsed.password_form:
        found.append(Mark("credential_form", "the mail itself asks for a password", "newest"))
    if hit := DISABLE.search(own):
        found.append(Mark("dangerous_file", hit.group(), "newest"))
    if (hit := SIGN_IN.search(own)) and (
        parsed.links or any(RISKY_FILE.search(a.name) for a in parsed.attachments) or "qr" in hit.group().lower()
    ):
        found.append(Mark("credential_form", hit.group(), "newest"))
    return found
