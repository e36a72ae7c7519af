"""``syncapi dev``: the service with all that it needs, and a demo tenant."""
