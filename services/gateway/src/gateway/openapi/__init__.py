"""The OpenAPI description of everything on the HTTP port; the routes are plain and fast and know nothing of it."""
