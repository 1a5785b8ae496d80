"""The three vendors simulated on one loopback port, and embedded servers for a machine that has none."""
