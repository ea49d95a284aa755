"""The grammar: calls at sites, how they are seen, chosen and recorded. No paper lives here."""
