"""Language in the loop: how models of pictures and words are decoded."""
