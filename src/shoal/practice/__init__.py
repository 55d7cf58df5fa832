"""The practice pool: tiny models, real and honest about it, with what trains, serves and breaks them."""
