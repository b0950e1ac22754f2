"""Arithmetic on arrays of pixels."""
