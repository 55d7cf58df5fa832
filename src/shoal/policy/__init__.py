"""Policy: judges which endpoints may serve a request, and on what grounds."""
