"""What experiments are judged by: outcomes and feedback, kept and added up."""
