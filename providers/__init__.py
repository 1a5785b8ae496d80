"""The vendors' wire formats: one folder per vendor, pure functions of bytes. Entry points `marketfetch.vendors` name them."""
