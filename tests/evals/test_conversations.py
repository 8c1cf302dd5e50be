"""The conversation suite without a language model: what must pass passes, nothing is unsafe, and seven of ten tasks at least end as they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from erp_core.server import Cluster
from evals import running, samples
from ml.reader import Reader

PARTS = 4
TASKS = samples.suite("chat")


def test_there_are_sixty_tasks_in_four_languages() -> None:
    assert len(TASKS) >= 60
    assert len({t.id for t in TASKS}) == len(TASKS)


@pytest.mark.parametrize("part", range(PARTS))
def test_conversations_end_as_they_should(cluster: Cluster, nlp: Any, part: int) -> None:
    own = TASKS[part::PARTS]
    results = [running.run(cluster, task, Reader(nlp, "as shipped")) for task in own]
    assert [(r.sample, r.unsafe) for r in results if r.unsafe] == []
    assert [(r.sample, r.failures) for r in results if r.must_pass and not r.passed] == []
    assert sum(r.passed for r in results) >= 0.7 * len(own)


def test_a_gold_that_is_not_met_fails_the_task(cluster: Cluster, nlp: Any) -> None:
    task = next(t for t in TASKS if t.id.startswith("change_quantity"))
    wrong = task.model_copy(
        update={"expect": task.expect.model_copy(update={"commands": [{"type": "cancel_order"}], "told": ["xyzzy"]})}
    )
    result = running.run(cluster, wrong, Reader(nlp, "as shipped"))
    assert not result.passed
    assert len(result.failures) == 2


def test_the_suite_is_where_the_house_looks_for_it() -> None:
    assert (Path(samples.HERE) / "chat.yaml").exists()
