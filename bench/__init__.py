"""Speed claims, each against a peer in the same run: `make bench NAME=x`."""
