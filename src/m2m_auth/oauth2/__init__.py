"""What the RFCs say, without I/O: no socket, no thread, no clock. Time is an argument."""
