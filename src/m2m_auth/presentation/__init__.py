"""What tables and pages share: escaped HTML and SVG, times in words. Standard library only."""
