"""Development tooling: from trained weights to a model that a kiosk can trust. Never installed on a kiosk's path."""
