"""`turnout up`: the whole suite on one machine, as real processes. The one composition root that sees both planes."""
