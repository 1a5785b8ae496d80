"""`python -m marketfetch` is the command `marketfetch`."""

from marketfetch.cli.main import main

main()
