"""A data set instead of a picture: resumable runs, each finished picture a file of its own, whole or absent."""
