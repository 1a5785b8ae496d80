"""The JSON documents that the commands print with --json and that the web API returns: one function and one type for each."""
