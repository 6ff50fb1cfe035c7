"""Remembers, so that nobody can rewrite unnoticed. Knows digests, not data."""
