"""The proposing side: reads mail and cases, finds facts, files proposals. It can change nothing else."""
