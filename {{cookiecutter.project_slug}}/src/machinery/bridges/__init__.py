"""bridges: what this project records, in the formats of other tools."""
