"""The report: one page that shows runs, whole or kept up to date."""
