"""Doors by which data comes in, one module a source."""
