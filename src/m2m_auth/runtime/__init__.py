"""What exists once per process: clocks, fork safety, worker threads, observers."""
