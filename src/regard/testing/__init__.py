"""For tests, ours and other people's: the works-mark, laws over the catalogue, planted models, oracles."""
