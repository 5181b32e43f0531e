"""Container images of the services: what decides them, building them, what is in them, where they go."""
