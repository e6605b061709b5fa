"""Plain text, HTML and SVG for tables and pages. It uses only the standard library and knows nothing of tokens."""
