"""What the technician sees: checks and the HTTP endpoint."""
