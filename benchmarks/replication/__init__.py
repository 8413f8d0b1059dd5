"""Published results, and the protocols by which others measured them."""
