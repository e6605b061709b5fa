"""The fake authorization server: one file for each of its topics."""
