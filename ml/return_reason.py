"""Why goods come back, from what the customer wrote: a closed set of reasons, from text of our own. "other" words say nothing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from ml import measures
from ml.asof import Array

# reason: beginnings of a sentence, each with several ends; whoever wrote a beginning is held out together
TEXTS: dict[str, dict[str, list[str]]] = {
    "damaged": {
        "The {goods} arrived": ["crushed", "with a broken housing", "dented and scratched", "wet, the carton was torn", "cracked along the edge"],
        "Two of the {goods} were": ["smashed in transit", "bent when we unpacked them", "broken on arrival", "leaking in the box"],
        "The carton of {goods} was": ["torn open and half of it is ruined", "run over by a forklift", "soaked through"],
        "Damage report:": ["{goods} with transport damage", "pallet tipped over, {goods} destroyed", "visible impact on the {goods}"],
    },
    "defective": {
        "The {goods} do not": ["work", "switch on", "hold pressure", "turn freely, the bearing grinds", "seal, they leak under load"],
        "After installing the {goods}": ["they failed within an hour", "nothing happens, dead out of the box", "the motor trips", "the thread stripped"],
        "Quality problem:": ["the {goods} are out of tolerance", "faulty {goods}, will not latch", "{goods} stop working after a few cycles"],
        "We tested the {goods} and": ["they malfunction", "every second one is faulty", "the readings are wrong"],
    },
    "warranty": {
        "The {goods} we bought last year": ["gave up, they are still under warranty", "failed within the warranty period", "broke, please honour the guarantee"],
        "Warranty claim": ["for {goods}", "on {goods} installed ten months ago", "under your two year guarantee for {goods}"],
        "Please replace under guarantee": ["the {goods} that wore out early", "the {goods}, serial number attached"],
        "Still covered by": ["the manufacturer's warranty, the {goods} died", "guarantee: {goods}"],
    },
    "wrong_item": {
        "We received {goods}": ["instead of what we ordered", "but ordered something else", "that are not on our order", "of another type than on the PO"],
        "You sent the wrong": ["{goods}", "article, we got {goods}", "part number, these {goods} are not ours"],
        "Mix-up:": ["the box holds {goods}, the label says otherwise", "{goods} delivered for another customer"],
        "The {goods} in the box are": ["a different model", "not the ones on the delivery note", "the wrong size, we ordered the smaller one as listed"],
    },
    "wrong_quantity": {
        "We got": ["twice as many {goods} as ordered", "too many {goods}", "ten {goods} more than on the order", "a full extra case of {goods}"],
        "You delivered": ["more {goods} than the PO says", "double the quantity of {goods}", "60 {goods} where we ordered 30"],
        "Overdelivery of": ["{goods}, please collect the surplus", "{goods}, we keep only what we ordered"],
        "The count of {goods} is": ["too high, the rest goes back", "off, we return the surplus"],
    },
    "late": {
        "The {goods} came": ["too late for our job", "a week after the promised date, no longer needed", "after the shutdown was over", "so late that we bought elsewhere"],
        "Because of the late delivery": ["we return the {goods}", "of the {goods} the project is gone"],
        "You missed the date": ["so we had to buy {goods} locally", "and the customer cancelled the {goods}"],
        "Delivered too late:": ["{goods}, our site is closed by now", "{goods}, please take them back"],
    },
    "ordered_in_error": {
        "We ordered the wrong": ["{goods}", "size of {goods} by mistake", "part, our buyer typed the wrong number for {goods}"],
        "Our mistake:": ["we wanted another type, not these {goods}", "the {goods} were entered twice by us", "I picked {goods} from the wrong line"],
        "I entered": ["the {goods} in error", "the wrong item number for the {goods}", "a case instead of a piece of {goods}"],
        "By accident we ordered": ["{goods}", "{goods} that do not fit our machine"],
    },
    "no_longer_needed": {
        "We do not need the {goods}": ["any more", "now, the project was cancelled", "after all", "since the customer changed the design"],
        "The project is": ["cancelled, may we send the {goods} back", "finished and the {goods} are left over"],
        "Surplus stock:": ["{goods} unopened, can we return them", "{goods} from a job that ended"],
        "Changed our minds": ["about the {goods}", "and no longer want the {goods}"],
    },
}  # fmt: skip
GOODS = (
    "valves",
    "gloves",
    "bearings",
    "relays",
    "hoses",
    "filters",
    "couplings",
    "fittings",
    "switches",
    "hinges",
    "cleaners",
    "sensors",
)
LEAST = 0.45  # below this nobody is told a reason
# signs that people of the trade go by; what each is worth is learned
CUES = {
    "cuehurt": r"crush|broken|dent|scratch|\bwet\b|torn|crack|smash|bent\b|leaking|ruin|soak|damag|destroy|impact|forklift|transit|tipped|unpack",
    "cuefaulty": r"not work|switch on|do(?:es)? not|fail|dead|trips?\b|faulty|defect|malfunction|out of tolerance|latch|grind|quality problem|stop working|leak under|readings|stripped",
    "cueguarantee": r"warrant|guarantee|last year|months ago|gave up|wore out|serial",
    "cueother": r"instead of|something else|not on our order|another type|wrong|mix-?up|another customer|different model|not ours|not the ones|part number|label|article",
    "cuemany": r"too many|twice as many|double|more than|extra|over-?deliver|surplus|count\b|more \w+ than|\d+ \w+ where|quantity",
    "cuelate": r"\blate\b|after the|missed the date|too late|shutdown|promised date|bought elsewhere|locally|week after",
    "cueours": r"\bwe ordered the wrong|our mistake|by mistake|in error|by accident|\bi entered|\bi picked|our buyer|entered twice|do not fit|typed",
    "cueneedless": r"not need|no longer|any ?more|cancelled|left over|unopened|job that ended|changed our minds|after all|finished|surplus stock|changed the design",
}
_CUES = {name: re.compile(pattern, re.I) for name, pattern in CUES.items()}
_WORDS = HashingVectorizer(ngram_range=(1, 2), n_features=2**14, alternate_sign=False, norm="l2", stop_words=None)


# what versions are asked about, worded otherwise than what they learn from; nothing is trained on it
EXAM: dict[str, list[str]] = {
    "damaged": ["Half of the {goods} came cracked", "The pallet was hit, the {goods} are dented", "Box wet and torn, {goods} ruined", "One carton of {goods} smashed by the carrier"],
    "defective": ["The new {goods} fail as soon as they are switched on", "None of the {goods} work", "These {goods} leak under pressure, faulty batch", "Bad quality, the {goods} jam and are dead after a day"],
    "warranty": ["{goods} from last spring broke, they have a two year warranty", "Guarantee case: {goods} worn after eight months ago installed", "Under warranty please, {goods}", "The {goods} gave up inside the guarantee time"],
    "wrong_item": ["These are not the {goods} we asked for, wrong part number", "Somebody else's {goods} were in our parcel, wrong article", "Label and {goods} differ, you shipped another type", "We wanted the 20 mm {goods} and got something else"],
    "wrong_quantity": ["We have twice as many {goods} as on the PO", "Too many {goods} came, take back the extra ones", "36 {goods} where 24 were ordered", "Surplus of {goods}: the quantity is more than ordered"],
    "late": ["The {goods} reached us after the promised date and the job is done", "Too late, we bought {goods} elsewhere", "Arrived a week after we needed it: {goods}", "Delivery of the {goods} missed our shutdown"],
    "ordered_in_error": ["Sorry, we ordered the wrong {goods}, our mistake", "I typed the wrong number and got {goods}", "The {goods} were ordered by mistake on our side", "Entered twice in error, the second lot of {goods} goes back"],
    "no_longer_needed": ["The {goods} are not needed any more", "Our customer cancelled, so the {goods} are left over", "Unopened {goods}, project stopped, no longer wanted", "We changed our minds about the {goods}"],
}  # fmt: skip


def examples() -> tuple[list[str], list[str], list[str]]:
    """(texts, reasons, who wrote it)."""
    found = [
        (f"{start} {end}".replace("{goods}", goods), reason, f"{reason}:{start}")
        for reason, starts in TEXTS.items()
        for start, ends in starts.items()
        for number, end in enumerate(ends)
        for goods in (GOODS[(number * 5 + len(start)) % 12], GOODS[(number * 7 + 3 + len(end)) % 12])
    ]
    return [f[0] for f in found], [f[1] for f in found], [f[2] for f in found]


def exam() -> tuple[list[str], list[str]]:
    """(texts, reasons) that nothing learns from."""
    found = [
        (text.replace("{goods}", GOODS[(number * 4 + turn * 5) % 12]), reason)
        for reason, texts in EXAM.items()
        for number, text in enumerate(texts)
        for turn in range(3)
    ]
    return [f[0] for f in found], [f[1] for f in found]


def features(texts: list[str]) -> Any:
    """Sparse (texts, 2^14): words and their pairs, and the signs in them three times over."""
    return _WORDS.transform(
        [
            f"{text} {' '.join(n + ' ' + n + 'x ' + n + 'y' for n, p in _CUES.items() if p.search(text))}"
            for text in texts
        ]
    )


def fit(texts: list[str], reasons: list[str]) -> dict[str, Any]:
    """A linear model as plain values."""
    model = LogisticRegression(C=5.0, max_iter=500).fit(features(texts), reasons)
    weights = [{str(i): round(float(w), 4) for i, w in enumerate(row) if abs(w) > 1e-3} for row in model.coef_]
    return {
        "classes": list(model.classes_),
        "weights": weights,
        "intercept": [round(float(x), 4) for x in model.intercept_],
    }


class Reasons:
    """The model, loaded."""

    def __init__(self, stored: dict[str, Any]) -> None:
        self.classes: list[str] = list(stored["classes"])
        self._weights = np.zeros((_WORDS.n_features, len(self.classes)))
        for column, row in enumerate(stored["weights"]):
            for index, weight in row.items():
                self._weights[int(index), column] = weight
        self._intercept = np.array(stored["intercept"])

    def probabilities(self, texts: list[str]) -> Array:
        """float64 (texts, classes)."""
        scores = features(texts) @ self._weights + self._intercept
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def say(self, text: str) -> tuple[str, float] | None:
        """(reason, probability), or None when the words do not tell."""
        said = self.probabilities([text])[0]
        best = int(said.argmax())
        return (self.classes[best], float(said[best])) if said[best] >= LEAST else None


def train() -> tuple[dict[str, Any], dict[str, Any]]:
    """The model, and its figures on the texts it did not see."""
    texts, reasons, _ = examples()
    made = fit(texts, reasons)
    return made, measured(Reasons(made))


def measured(model: Reasons) -> dict[str, Any]:
    """What a version makes of the exam; the baseline says what is most frequent."""
    texts, reasons = exam()
    wanted = np.array(reasons)
    chances = model.probabilities(texts)
    said = np.array([model.classes[i] for i in chances.argmax(axis=1)])
    right, sure = (said == wanted).astype(float), chances.max(axis=1) >= LEAST
    most = max(np.unique(wanted, return_counts=True)[1]) / len(wanted)
    return {
        "examples": len(texts),
        "macro_f1": float(f1_score(wanted, said, average="macro")),
        "accuracy": float(right.mean()),
        "baseline_accuracy": float(most),
        "gain_interval": measures.interval(lambda x: float(x.mean()) - most, right),
        "accuracy_when_said": float(right[sure].mean()) if sure.any() else 0.0,
        "said": float(sure.mean()),
        "rule": "the most frequent reason",
    }
