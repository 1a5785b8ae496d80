"""Stored bars for analysis: as a frame of polars, pandas or Arrow, and as files."""
