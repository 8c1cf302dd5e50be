"""The record of training, in MLflow. The only module that knows MLflow.

Models are logged as JSON texts with LightGBM's own text inside, the mail reader as spaCy's folder; nothing is pickled and nothing is loaded from here. The aliases mirror
what the core says is in use: moved behind our back they change nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erp_core import db, settings
from erp_core.server import Cluster
from erp_core.settings import RECORD

ALIASES = {
    "champion": ("champion",),
    "shadow": ("shadow", "challenger"),
}  # whoever runs in the shadow is the challenger


def uri() -> str:
    """Where the record is: COUNTERSIGN_MLFLOW_URI, else a database of the embedded server, else a file under COUNTERSIGN_HOME."""
    config = settings.load()
    if config.mlflow_uri:
        return config.mlflow_uri
    if config.embedded:
        return Cluster(config).dsn(db.AGENT, RECORD)
    return f"sqlite:///{config.home / 'mlflow.db'}"


def _client() -> Any:
    """MLflow, told where to write. It takes seconds to import, and most runs do not need it."""
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri())
    # two processes that set up the record at once are in each other's way
    place = settings.load().home / "mlflow.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _ready(mlflow.MlflowClient())


def _ready(client: Any) -> Any:
    if client.get_experiment_by_name("countersign") is None:
        kept = None if settings.load().mlflow_uri else (settings.load().home / "mlflow").as_uri()
        client.create_experiment("countersign", artifact_location=kept)
    return client


def record(
    name: str,
    parameters: Mapping[str, Any],
    figures: Mapping[str, Any],
    path: Path | None = None,
    version: int | None = None,
) -> str:
    """One run: parameters, flat metrics, figures and plots as files, and the model registered under its name. Returns the run's id."""
    client = _client()
    experiment = client.get_experiment_by_name("countersign")
    run = client.create_run(experiment.experiment_id, run_name=name, tags={"model": name})
    for key, value in parameters.items():
        client.log_param(run.info.run_id, key, str(value)[:500])
    for key, value in flat(figures).items():
        client.log_metric(run.info.run_id, key[:240], value)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "figures.json").write_text(json.dumps(figures, indent=1))
        if path is not None:
            _copy(path, folder / _file(name, path))
        _plots(folder, figures)
        client.log_artifacts(run.info.run_id, place)
    client.set_terminated(run.info.run_id)
    if path is not None and version is not None:
        place = f"{run.info.artifact_uri}/{_file(name, path)}"
        _register(client, name, run.info.run_id, place, version, parameters)
    return str(run.info.run_id)


def _file(name: str, path: Path) -> str:
    return f"{name}{path.suffix}"


def _copy(path: Path, to: Path) -> None:
    """A model's file, or its folder."""
    if path.is_dir():
        shutil.copytree(path, to)
    else:
        shutil.copy(path, to)


def _register(client: Any, name: str, run: str, place: str, version: int, parameters: Mapping[str, Any]) -> None:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    tags = {"core_version": str(version), "sha256": str(parameters.get("sha256", ""))}
    client.create_model_version(name, place, run, tags=tags)


def mirror(in_use: Mapping[tuple[str, str], int]) -> None:
    """Set the aliases to what the core says: (name, use) to the core's version."""
    client = _client()
    for name in {name for name, _ in in_use}:
        for use, aliases in ALIASES.items():
            version = in_use.get((name, use))
            known = client.search_model_versions(f"name = '{name}'") if version else []
            found = next((v for v in known if v.tags.get("core_version") == str(version)), None)
            for alias in aliases:
                if found is not None:
                    client.set_registered_model_alias(name, alias, found.version)
                elif client.search_registered_models(f"name = '{name}'"):
                    client.delete_registered_model_alias(name, alias)


def flat(figures: Mapping[str, Any], before: str = "") -> dict[str, float]:
    """Numbers of nested figures under dotted names that MLflow takes."""
    found: dict[str, float] = {}
    for key, value in figures.items():
        name = re.sub(r"[^\w\-. :/]", "_", f"{before}{key}", flags=re.A)
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def _plots(folder: Path, figures: Mapping[str, Any]) -> None:
    """A reliability curve a question."""
    tables = {
        question: table["reliability"]
        for question, table in (figures.get("detail", {}).get("questions") or {}).items()
        if table.get("reliability")
    }
    if not tables:
        return
    from matplotlib.figure import Figure

    picture = Figure(figsize=(5, 5))
    axes = picture.add_subplot()
    axes.plot([0, 1], [0, 1], color="#999", linewidth=1)
    for question, table in tables.items():
        axes.plot([x["said"] for x in table], [x["came"] for x in table], marker="o", label=question)
    axes.set_xlabel("said")
    axes.set_ylabel("came")
    axes.legend()
    picture.savefig(folder / "reliability.png")


MILLION = 1_000_000  # nanoseconds of a millisecond


def trace(run: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], ended_ns: int) -> str:
    """One run of the agent as a trace: what it is about (`tags`), how long it took (`ms`), and each question to a language model as a span.

    Found again by its tags `case` and `run`. Returns the trace's id.
    """
    client = _client()
    experiment = client.get_experiment_by_name("countersign")
    began = ended_ns - int(run["ms"]) * MILLION
    tags = {key: str(value)[:200] for key, value in run["tags"].items()}
    root = client.start_trace(
        str(run["name"]), span_type="AGENT", tags=tags, experiment_id=experiment.experiment_id, start_time_ns=began
    )
    at = began
    for step in steps:
        details = {key: str(value)[:200] for key, value in step.items()}
        span = client.start_span(
            str(step["purpose"]), root.trace_id, root.span_id, span_type="LLM", attributes=details, start_time_ns=at
        )
        at += int(step["ms"]) * MILLION
        status = "OK" if step["outcome"] == "answered" else "ERROR"
        client.end_span(root.trace_id, span.span_id, status=status, end_time_ns=at)
    client.end_trace(root.trace_id, attributes=tags, end_time_ns=max(ended_ns, at))
    return str(root.trace_id)


def register_prompts(prompts: Mapping[str, str]) -> int:
    """Keep the texts of prompts in the registry, each once by its SHA-256; how many were new."""
    client, new = _client(), 0
    for name, text in prompts.items():
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        full = f"countersign-{name}"
        if client.get_prompt(full) is not None:
            known = client.search_prompt_versions(full)
            if any(version.tags.get("sha256") == sha256 for version in known):
                continue
        client.register_prompt(full, text, commit_message=sha256[:12], tags={"sha256": sha256})
        new += 1
    return new
