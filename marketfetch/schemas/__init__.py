"""What a validated row is, and its integrity rules. Imports nothing of ours."""
