"""Pure ASGI middleware: no task groups, no copies of bodies, next to no time."""
