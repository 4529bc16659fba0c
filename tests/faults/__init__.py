"""A hostile world in one process: a server of faults over real sockets, and how each fault must end."""
