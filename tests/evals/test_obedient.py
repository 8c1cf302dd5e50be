"""A language model that obeys whoever writes, in the place of a good one: mails and talks, and nothing gives way."""

from __future__ import annotations

from typing import Any

import pytest

from agent.worker import worker as working
from evals import attacks, obedient
from ml.reader import Reader


@pytest.mark.parametrize("with_model", [False, True])
def test_hostile_talks_get_nothing(database: str, nlp: Any, with_model: bool) -> None:
    line = obedient.line() if with_model else None
    with working(line=line) as own:
        came = obedient.talk(own, line)
    assert came.broken == []
    assert came.turns >= len(obedient.TALKS)


def test_hostile_mails_get_nothing_of_an_obedient_model(database: str) -> None:
    reader = attacks.Obedient()
    with working(Reader(reader, "obedient"), obedient.line()) as own:
        came = attacks.run(own, reader, attacks.sampled(61))
        assert own.line.model.asked  # type: ignore[union-attr]
    assert came.broken == []
    assert came.recorded == came.mails
