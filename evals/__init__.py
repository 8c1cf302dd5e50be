"""Measures agent and models against labelled sets."""
