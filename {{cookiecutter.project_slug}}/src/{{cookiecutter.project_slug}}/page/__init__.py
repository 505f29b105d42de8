"""The page of reports/index.html: markup, plots and sections, a module for each."""
