"""Policy: what operators write (`documents`), what workers read (`snapshot`), and the one compiler between."""
