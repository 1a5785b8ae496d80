"""`python -m cli` is `marketfetch`."""

from cli.main import main

main()
