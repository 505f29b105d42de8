"""settings: Kedro's defaults."""
