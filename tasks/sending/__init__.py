"""Parking instead of publishing: how a fetch task gets its place in the gate, and how it is revoked there."""
