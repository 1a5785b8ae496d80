"""Programs of other task queues and loaders, which `benchmarks.peers_compared` runs in an environment of their own."""
