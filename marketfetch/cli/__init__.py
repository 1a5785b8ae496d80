"""The `marketfetch` command: one file a command."""
