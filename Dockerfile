# One image for every process; the command says which (see docker-compose.yml).
FROM python:3.11-slim-bookworm
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e . \
    && useradd --system --create-home countersign && mkdir -p /var/lib/countersign/models /var/lib/countersign/mlflow /var/lib/countersign/witness && chown -R countersign /var/lib/countersign
USER countersign
ENV COUNTERSIGN_HOME=/var/lib/countersign PYTHONUNBUFFERED=1
EXPOSE 8000
CMD ["countersign", "serve", "--only", "api"]
