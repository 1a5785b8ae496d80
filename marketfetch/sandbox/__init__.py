"""The sandbox: the three vendors, simulated on one loopback port."""
