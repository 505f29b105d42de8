"""The page reports/index.html."""
