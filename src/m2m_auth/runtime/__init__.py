"""What a process has one of: its clocks, its forks, its worker threads, its observers."""
