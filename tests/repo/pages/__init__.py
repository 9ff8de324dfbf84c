"""The generated pages of docs/: one module each, with a function `page` that returns its text."""
