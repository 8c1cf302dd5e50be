"""Training runs in MLflow, when a tracking server is named. The only module that knows MLflow."""

from __future__ import annotations

from typing import Any

from erp_core import settings


def record(name: str, parameters: dict[str, Any], figures: dict[str, Any]) -> None:
    """Log one run to COUNTERSIGN_MLFLOW_URI; without it training is complete as it is."""
    uri = settings.load().mlflow_uri
    if uri is None:
        return
    import mlflow  # takes seconds to import, and most runs do not need it

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("countersign")
    with mlflow.start_run(run_name=name):
        mlflow.log_params(parameters)
        mlflow.log_metrics({k: float(v) for k, v in figures.items() if isinstance(v, int | float)})
