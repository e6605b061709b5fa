"""What an operator writes: the configuration, the TOML file that it comes from, and the file of vendors' secrets."""
