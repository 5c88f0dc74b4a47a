"""The values of a call: captured as they were then, checked, and as plain Python ones."""
