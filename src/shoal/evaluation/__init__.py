"""Tasks, scorers and reports: what we claim, measured so that anybody can measure it again."""
