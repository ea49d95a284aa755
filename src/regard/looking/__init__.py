"""`regard look`: everything worth seeing about one photo and one model, computed once, with its own doubts."""
