"""The pages: draw a digit at /, read the API at /docs. Nothing on them comes from elsewhere."""
