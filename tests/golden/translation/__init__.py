"""Translation pairs: what goes in and what comes out, as files that people can read side by side."""
