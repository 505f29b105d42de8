"""The model card and the page reports/index.html."""
