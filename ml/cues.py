"""Turns of phrase of the trade, in four languages. Each becomes one more word that the classifier may learn from."""

from __future__ import annotations

import re

_NUMBER = (
    r"(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|a|dozen|uno?a?|dos|tres|cuatro|cinco|"
    r"un[e]?|deux|trois|quatre|cinq|ein[e]?|zwei|drei|vier|fünf)"
)
_UNIT = r"(?:boxes|box|bx|cases?|cs|ea(?:ch)?|pcs|pieces|rolls?|pairs?|cartons?|skids?|pallets?|cajas?|piezas?|caisses?|boîtes?|stück|karton\w*)?"

_CUES = {
    "short": (
        r"\bshort(?:ed|age|s|-?shipped)?\b|\bmissing\b|\bshy\b|\bnot in the (?:box|carton|shipment)|\bpartial delivery\b|\bmanqu\w+|\bfalta(?:n|ba|ron|nte)?\w*"
        r"|\bincompl[eè]t\w*|\bunvollständig\w*|\bfehl(?:t|en|menge)\w*|\bzu wenig\b|\bcontamos\b|\bmenos\b"
    ),
    "received_count": (
        rf"\b(?:received|got|counted|have|delivered|arrived|unloaded|came|opened|found|there (?:is|are)|reçu\w*|recib\w+|llegaron|erhalten|bekommen|geliefert)\b[^.\n]{{0,30}}\b(?:only |just )?{_NUMBER} ?{_UNIT}"
    ),
    "of_ordered": rf"\b{_NUMBER} ?{_UNIT} (?:of|out of|instead of|not|vs\.?|against|statt|von|de|au lieu de|en vez de|en lugar de|sur) (?:the )?{_NUMBER}\b",
    "slip_says": r"\b(?:packing (?:slip|list)|slip|bol|pod|delivery (?:note|receipt)|tally|lieferschein|albar[aá]n|remisi[oó]n|bon de livraison)\b",
    "damaged": r"\b(?:damag\w+|broken|crush\w*|dent\w*|crack\w*|leak\w*|wet|bent|smashed|torn|endommag\w+|cass[ée]\w*|ab[iî]m\w+|dañad\w+|rot[oa]s?|golpead\w+|beschädigt\w*|kaputt|zerbrochen|verbogen)\b",
    "wrong_item": r"\b(?:wrong|incorrect|not what (?:we|i) ordered|someone else'?s|mis-?(?:ship|pick)\w*|erreur|mauvais\w*|equivocad\w+|falsch\w*|verwechselt)\b",
    "says_delivered": r"\b(?:says?|shows?|marked|showing|lists?)\b[^.\n]{0,25}\b(?:delivered|left at|signed)\b|\bnever (?:arrived|showed|got here|received)\b|\bmis-?delivered\b",
    "where": r"\bwhere(?:'s| is| are|s)\b|\beta\b|\bstatus\b|\bany (?:update|news|word)\b|\btracking\b|\bstill (?:waiting|on|nothing|no)\b|\bwhen (?:will|is|are|does|can|did)\b|\bd[oó]nde\b|\bcu[aá]ndo\b|\bestatus\b|\bo[uù] (?:est|en|sont)\b|\bquand\b|\bwann\b|\bwo bleibt\b|\bstand\b|\bsuivi\b|\bsuite\b|\bhas(?:n'?t)? (?:it|this|that|the order)? ?ship|\bwill it make\b|\bpast due\b|\boverdue\b|\bdelivery window\b",
    "confirm_receipt": r"\b(?:acknowledg\w+|order confirmation|confirm (?:receipt|the order|ship|delivery|you (?:have|got))|did you (?:get|receive)|auftragsbestätigung|acuse|accusé)\b",
    "faster": r"\b(?:rush|expedit\w+|asap|hot|urgent\w*|overnight|next[- ]day|line (?:is )?down|pull (?:it|this|them|in|up|ahead|forward)|sooner|earlier|hot[- ]shot|pick ?up today|will[- ]call today|critical|adelantar|urgente?s?|cuanto antes|avancer|accélérer|dringend|eilig|schneller|vorziehen|früher|express|nda|2-?day|air ?freight|priorit\w+)\b",
    "change": r"\b(?:change|chg|amend\w*|revis\w+|modif\w+|update|increase|reduce|bump|instead|add|drop|remove|push|move|delay|postpone|reschedul\w+|split|correct\w*|typo|should (?:be|have been|read)|make (?:it|that)|double|cambi\w+|aument\w+|reduc\w+|agreg\w+|corrig\w+|posponer|reporter|passer de|ajout\w+|ändern|änderung|erhöhen|verschieben|statt|reduzieren|hold off)\b",
    "cancel": r"\b(?:cancel\w*|scrap|kill|void|scratch|disregard (?:the|that|our|this) (?:po|order)|don'?t ship|stop the order|call off|nix|annul\w+|stornier\w+|storno|anular|résili\w+|take .{0,15} off the books|no longer (?:need|want)\w*)\b",
    "send_back": r"\b(?:rma|return(?:s|ing|ed)?|send (?:it|them|these|this|back|the)\b.{0,12}\bback|restock\w*|return label|exchange|refund|devol\w+|retour\w*|rücksend\w+|zurück\w*|renvoy\w+|reintegr\w+|warranty|core|unused|never (?:used|opened)|unopened)\b",
    "price": r"\b(?:price\w*|pricing|charged|quoted|contract (?:price|rate)|agreement|discount|surcharge|too (?:high|much)|overcharg\w+|per (?:each|case|box)|list price|precio\w*|cobr\w+|descuento|prix|tarif|factur[ée] (?:à|au)|remise|preis\w*|rabatt|berechnet|cents?|tariff|fuel|freight)\b",
    "should_be_price": r"\b(?:should (?:be|have been)|not|instead of|vs\.?|versus|agreed|quoted|was|were|catalog|contract|rather than|we (?:have|had)|statt|au lieu de|en vez de)\b[^.\n]{0,20}(?:moneynum|0)",
    "invoice": r"\b(?:invoices?|inv|invnum|billed|bill|billing|statement|credit (?:memo|note)|duplicate|twice|copy|w-?9|factur\w+|rechnung\w*|gutschrift|avoir|nota de cr[eé]dito|sales tax|exempt\w*|tax|vat|mwst|iva|tps|tvq|gst|hst)\b",
    "pay": r"\b(?:payment|paid|pay|remit\w*|remittance|wire\w*|ach|check|cheque|eft|terms|net ?0|credit (?:limit|line|hold|app\w*)|on hold|release (?:the|our|my)|past due|statement|balance|aging|account(?:ing)? hold|pag\w+|transfer\w+|paiement|virement|compte|relevé|zahl\w+|überweis\w+|mahn\w+|kredit\w*|estado de cuenta|cr[eé]dito|limite de crédit)\b",
    "quote": r"\b(?:quote|quotation|rfq|bid|in stock|availability|available|lead ?time|price (?:and|&) |how (?:much|many|long)|do you (?:have|carry|stock|sell)|can you (?:get|supply|source)|what(?:'s| is| are| would)\b.{0,20}(?:price|cost|lead)|cotiza\w+|presupuesto|existencia\w*|disponib\w+|plazo|devis|soumission|délai|angebot|lieferzeit|lieferbar|verfügbar\w*|vorrätig|auf lager|p&a|budget\w*)\b",
    "substitute": r"\b(?:substitut\w*|alternat\w*|replacement|equivalent|instead|the (?:other|offered)|accept|back-?order(?:ed)?|ship what|partial|wait for|split|sub|sustitu\w+|alternativ\w*|remplac\w+|ersatz\w*|équivalent|b/o)\b",
    "account": r"\b(?:update (?:your|our)|new address|moved|moving|ship-?to|bill-?to|our records|on file|contact|no longer (?:with|here|works)|left the company|replac\w+ (?:him|her|me)|email address|bank\w*|tax (?:id|exempt\w*)|certificate|remove me|add (?:me|him|her)|w-?9|legal name|rename\w*|datos|domicilio|direcci[oó]n|contacto|coordonnées|adresse|déménag\w+|ansprechpartner\w*|umzug|anschrift|bankverbindung|stammdaten|going forward|effective (?:immediately|today|0))\b",
    "angry": r"\b(?:unacceptable|disappoint\w*|third time|again|ridiculous|fed up|manager|supervisor|frustrat\w*|last (?:straw|chance)|take our business|elsewhere|competitor|nobody|no one|apolog\w+|complain\w*|rude|inaceptable|queja|harto|inadmissible|plainte|réclamation|beschwerde|unmöglich|sauer|enttäusch\w*|seriously|joke|pathetic|embarrass\w*|worst|ashamed|pattern|every (?:single )?time)\b",
    "new_order": r"\b(?:please (?:enter|process|ship|send|supply|book)|pls (?:enter|ship|send)|new (?:order|po)|attached (?:is|po|please find)|see attached|our po|purchase order|order (?:the following|for)|need the following|i(?:'d| would)? (?:like|want|need) to (?:order|place)|place an order|enter (?:our|this|the)|release (?:no|#|against)|same as last|usual|re-?order|blanket|adjunto|anexo|orden de compra|pedido nuevo|favor de surtir|ci-joint|bon de commande|veuillez (?:livrer|expédier|entrer)|bestellen|bestellung|anbei|liefern sie|bitte um lieferung|job ?0?|attn|deliver (?:to|by|on))\b",
    "thanks_only": r"^\W*(?:thanks?|thank you|got it|perfect|great|ok|noted|appreciate it)\b.{0,40}$",
    "machine": r"\b(?:out of (?:the )?office|automatic reply|auto-?reply|do not reply|no-?reply|unsubscribe|newsletter|undeliverable|delivery status|ticket|webinar|survey|notification|abwesen\w+|automatische antwort|réponse automatique|absence|fuera de (?:la )?oficina|respuesta automática|read receipt|mailbox|digest|this is an automat\w+)\b",
    "supply": r"\b(?:your purchase order|your po|ponum will|we (?:regret|will ship|are unable)|lead times? (?:has|have|will)|price increase|discontinu\w+|force majeure|allocation|asn|dock appointment|mill|production|our plant|recall|stop sale|ihre bestellung|su orden|votre commande|advance ship)\b",
    "question": r"\?",
    "line_items": r"(?m)^\s*(?:[-*•]|\d+[.)])?\s*(?:0|\d+)\s*(?:x|ea|cs|bx|pcs|each|cases?|boxes?|rolls?|pr)?\b.*skunum|^.*skunum.*\b0\s*(?:ea|cs|bx|pcs|each|cases?|boxes?)?\s*$",
}
CUES = {name: re.compile(pattern, re.I) for name, pattern in _CUES.items()}


def cue_words(text: str) -> str:
    """One token for each cue that the text holds, a second one when it holds it more than once."""
    words = []
    for name, pattern in CUES.items():
        count = len(pattern.findall(text))
        if count:
            words.append(f"cue_{name}")
        if count > 1:
            words.append(f"cue_{name}_more")
    return " ".join(words)
