"""What a cancellation takes away: all of an order, or part of it, and whether that is sure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from agent.signs import Sign

Facts = Mapping[str, Any]
WHOLE_ORDER = re.compile(
    r"\b(?:all|every|each|alle|todas|toutes)\b[^.\n]{0,24}\b(?:lines?|items?|positionen|líneas|lignes)\b|\b(?:entire(?:ly)?|whole|complete(?:ly)?|in full|all of it|everything|"
    r"por completo|entièrement|en totalité|vollständig|komplett|gesamte?)\b",
    re.I,
)


def part_of(read: Facts, lines: Sequence[Facts]) -> tuple[list[dict[str, Any]], bool]:
    """Goods with what shall be left of them, where only part of an order is cancelled; none where all of it is. And whether that is sure:
    what our own patterns find beside the goods may be what goes as well as what stays."""
    by_model = read["by"] == "language model"
    ordered = {line["sku"]: (Decimal(line["quantity"]), line["uom"]) for line in lines}
    named = {i["sku"]: dict(i) for i in read["items"] if i["sku"] in ordered}
    if Sign.EXCEPTED in read["signs"]:
        away = {"quantity": "0", "uom": None, "part": "words", "start": 0, "end": 0}
        return ([named.get(sku) or {"sku": sku, **away} for sku in ordered] if named else []), bool(named)
    counted = {sku: i for sku, i in named.items() if i["quantity"] is not None}
    in_its_unit = all(i["quantity"] == "0" or i["uom"] in (None, ordered[sku][1]) for sku, i in counted.items())
    cut = [i for sku, i in counted.items() if Decimal(i["quantity"]) < ordered[sku][0]]
    if cut:
        all_gone = len(cut) == len(ordered) and all(i["quantity"] == "0" for i in cut)
        return [] if all_gone else cut, in_its_unit and (by_model or all(i["quantity"] == "0" for i in cut))
    if len(named) == len(ordered) or ((by_model or WHOLE_ORDER.search(read["own_words"])) and not counted):
        return [], True
    # "cancel the two motors" names the line as it is; "cancel the motors" may, and may not
    part = [{**i, "quantity": "0"} for i in (counted or named).values()]
    return part, in_its_unit and bool(counted or not named)
