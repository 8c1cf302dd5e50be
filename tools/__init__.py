"""What the agent may call: queries and proposals; there is no third kind."""
