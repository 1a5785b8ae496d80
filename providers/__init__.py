"""How each vendor speaks: one folder a vendor, pure functions of bytes. Found by the entry points `marketfetch.vendors`."""
