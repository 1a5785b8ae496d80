"""What a worker carries besides its tasks: the releaser, the sweeper, reservations of calls, logging."""
