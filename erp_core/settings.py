"""Settings are environment variables; this is the only place that reads them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROLES = ("countersign_owner", "countersign_api", "countersign_agent", "countersign_reader")
DSN_VARIABLES = {
    "countersign_api": "COUNTERSIGN_DATABASE_URL",
    "countersign_agent": "COUNTERSIGN_AGENT_DATABASE_URL",
    "countersign_owner": "COUNTERSIGN_OWNER_DATABASE_URL",
    "countersign_reader": "COUNTERSIGN_READER_DATABASE_URL",
}


MODEL = "COUNTERSIGN_MODEL"  # the language model's name; COUNTERSIGN_MODEL_READ and so on for one purpose

RECORD = "countersign_mlflow"  # database of the embedded server that MLflow keeps its record in


@dataclass(frozen=True)
class Settings:
    """What an installation can be told from outside. README.md lists the same names."""

    home: Path
    dsns: dict[str, str]
    host: str
    port: int
    imap_url: str | None
    imap_password: str | None
    smtp_url: str | None
    smtp_password: str | None
    mail_from: str
    mlflow_uri: str | None
    serve: bool
    insecure_cookies: bool
    witness: Path
    signins_per_minute: int
    requests_per_minute: int
    model_key: str | None
    model_url: str | None
    model_names: dict[str, str]
    model_seconds: float
    embeddings: str | None
    portal_secret: str | None

    @property
    def has_model(self) -> bool:
        """True when a language model is configured: a key, or a server of one's own that may want none."""
        return bool(self.model_key or self.model_url)

    def model_for(self, purpose: str) -> str:
        """The language model for a purpose, else the one for all."""
        return self.model_names.get(purpose, self.model_names[""])

    @property
    def embedded(self) -> bool:
        """True when no database was named: we run our own server under `home`."""
        return not self.dsns

    @property
    def models(self) -> Path:
        """Folder of trained pipelines."""
        return self.home / "models"


def load() -> Settings:
    """Read the environment. Unset database variables mean the embedded server."""
    env = os.environ
    home = Path(env.get("COUNTERSIGN_HOME", "var")).resolve()
    dsns = {role: env[name] for role, name in DSN_VARIABLES.items() if env.get(name)}
    return Settings(
        home=home,
        dsns=dsns,
        host=env.get("COUNTERSIGN_HOST", "127.0.0.1"),
        port=int(env.get("COUNTERSIGN_PORT", "8000")),
        imap_url=env.get("COUNTERSIGN_IMAP_URL"),
        imap_password=env.get("COUNTERSIGN_IMAP_PASSWORD"),
        smtp_url=env.get("COUNTERSIGN_SMTP_URL"),
        smtp_password=env.get("COUNTERSIGN_SMTP_PASSWORD"),
        mail_from=env.get("COUNTERSIGN_MAIL_FROM", "orders@localhost"),
        mlflow_uri=env.get("COUNTERSIGN_MLFLOW_URI"),
        serve=env.get("SERVE", "1") != "0",
        insecure_cookies=env.get("COUNTERSIGN_INSECURE_COOKIES", "1") == "1",
        signins_per_minute=int(env.get("COUNTERSIGN_SIGNINS_PER_MINUTE", "30")),
        requests_per_minute=int(env.get("COUNTERSIGN_REQUESTS_PER_MINUTE", "6000")),
        model_key=env.get("OPENAI_API_KEY") or None,
        model_url=env.get("OPENAI_BASE_URL") or None,
        model_names={"": env.get(MODEL, "gpt-5-mini")}
        | {
            name.removeprefix(f"{MODEL}_").lower(): value
            for name, value in env.items()
            if name.startswith(f"{MODEL}_") and name != f"{MODEL}_SECONDS"
        },
        model_seconds=float(env.get(f"{MODEL}_SECONDS", "30")),
        portal_secret=env.get("COUNTERSIGN_PORTAL_SECRET") or None,
        embeddings=env.get("COUNTERSIGN_EMBEDDINGS") or None,
        witness=Path(env.get("COUNTERSIGN_WITNESS", home / "witness" / "seals.jsonl")).resolve(),
    )
