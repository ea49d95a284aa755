"""Figures of results. They show; they compute nothing."""
