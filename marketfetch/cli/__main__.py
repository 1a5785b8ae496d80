"""`python -m cli` is `marketfetch`."""

from marketfetch.cli.main import main

main()
