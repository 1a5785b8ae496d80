"""`python -m marketfetch` is the command `marketfetch`."""

from marketfetch.cli.script import main

main()
