"""adopt: a table from elsewhere in; a project of its own, in the sample's place, out."""
