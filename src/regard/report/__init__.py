"""One self-contained HTML file from results: opens offline, asks for nothing."""
