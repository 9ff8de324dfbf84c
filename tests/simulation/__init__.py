"""The fleet simulation: many workers, a few targets, a clock that jumps from event to event. No sockets, no sleeps."""
