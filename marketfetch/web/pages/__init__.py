"""The page: HTML made on this server, which reads without JavaScript; with it, what is shown is kept up to date."""
