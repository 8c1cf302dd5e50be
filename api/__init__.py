"""The signing side: HTTP, console, command-line decisions and the clock."""
