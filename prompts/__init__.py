"""Prompt and reply texts as files with a header (name, version, variables)."""
