"""The front door: thin HTTP handlers that parse, call the pipeline, and write the answer."""
