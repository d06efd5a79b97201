"""``train-behaviour``: from recorded clips to the small model behind ``assault`` and ``machine_tampering``."""
