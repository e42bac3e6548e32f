"""Documents that were not written for us, made into specifications."""
