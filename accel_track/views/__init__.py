"""The views of runs for people: their content, their places, their course."""
