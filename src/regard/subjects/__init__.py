"""What a method is handed (a tapped layer, a target, a bank of masked scores) and what it hands back."""
