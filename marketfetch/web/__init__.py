"""The web API: what the commands do, for programs, over HTTP. `marketfetch serve` runs it; nothing else imports it."""
