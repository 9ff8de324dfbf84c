"""How bytes reach providers: a port with exact clocks and prompt cancellation, and its adapters."""
