"""What is learned of models: decisions that are kept, the tables made of them, and their way to the workers."""
