"""`acme/` is a package of its own: its tests run where it is installed, see test_a_fourth_vendor.py."""

collect_ignore = ["acme"]
