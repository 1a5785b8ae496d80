"""`python -m cli` is `marketfetch`."""

from marketfetch.cli.script import main

main()
