"""Telling people: local outputs now, email through a durable outbox."""
