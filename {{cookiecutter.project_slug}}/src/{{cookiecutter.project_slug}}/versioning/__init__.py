"""versioning: releases, rollback, and where the bytes of a version come from."""
