"""Local models, trained by us from text in this repository."""
