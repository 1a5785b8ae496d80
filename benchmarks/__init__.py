"""How fast a reply becomes rows, against the least that the same database could take, measured in the same run."""
